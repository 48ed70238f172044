"""`mnnjax doctor`: it reports the machine, and the problems that would stop a study."""

import json
import os

import jax
import numpy as np
import pytest

from mnnjax import cli
from mnnjax.cli import doctor

SECTIONS = {"versions", "machine", "precision", "memory", "disk", "compilation cache", "data", "environment", "hint"}


@pytest.fixture
def sound(tmp_path) -> dict:
    return doctor.examine(tmp_path / "data", tmp_path)


def test_it_prints_what_a_bug_report_needs(tmp_path, capsys):
    options = ["--workdir", str(tmp_path), "--data-dir", str(tmp_path)]
    assert cli.main(["doctor", "--json", *options]) == 0
    found = json.loads(capsys.readouterr().out)
    assert set(found) == SECTIONS
    assert found["versions"]["jax"] == jax.__version__
    assert found["versions"]["numpy"] == np.__version__
    assert found["machine"]["devices"] == jax.device_count()
    assert 0 < found["precision"]["error of a float32 product"] < 1e-5
    assert found["disk"]["work folder"] > 0
    assert found["data"]["mnist"] == "absent"
    assert cli.main(["doctor", *options]) == 0
    told = capsys.readouterr().out
    assert told.endswith("no problem found\n")
    for text in (jax.__version__, "float64", "compilation cache", "mnist"):
        assert text in told


def test_it_finds_products_that_are_not_float32(monkeypatch):
    assert doctor.float32_error() < doctor.FLOAT32_ERROR
    # TPUs and GPUs do this by default; CPUs cannot.
    as_array = jax.numpy.asarray
    monkeypatch.setattr(jax.numpy, "asarray", lambda a: as_array(a, jax.numpy.bfloat16))
    assert doctor.float32_error() > doctor.FLOAT32_ERROR


@pytest.mark.parametrize(
    ("section", "name", "value", "told"),
    [
        ("precision", "error of a float32 product", 1e-3, "off by 0.001"),
        ("precision", "error of a float32 product", float("nan"), "off by nan"),
        ("precision", "float64", "off", "JAX_ENABLE_X64"),
        ("memory", "free", 10**6, "1.0 MB of memory"),
    ],
)
def test_each_problem_has_a_hint(sound, section, name, value, told):
    assert sound["hint"] == []
    (line,) = doctor.hints(sound | {section: sound[section] | {name: value}}, {})
    assert told in line


def test_a_folder_that_cannot_be_written(sound, tmp_path, monkeypatch):
    monkeypatch.setattr(doctor, "_writable", lambda folder: False)
    (line,) = doctor.hints(sound, {"the work folder": tmp_path / "not" / "there"})
    assert f"the work folder cannot be written ({tmp_path})" in line
    assert "hint: the work folder" in doctor.describe(sound | {"hint": [line]})


def test_a_file_in_place_of_a_folder(sound, tmp_path):
    (tmp_path / "file").touch()
    for folder in (tmp_path / "file", tmp_path / "file" / "runs"):
        (line,) = doctor.hints(sound, {"the work folder": folder})
        assert line == f"the work folder cannot be made ({tmp_path}/file is a file): choose another"


def test_a_full_disk(sound, tmp_path, monkeypatch):
    monkeypatch.setattr(doctor, "LITTLE_DISK", 10**18)
    (line,) = doctor.hints(sound, {"the compilation cache": tmp_path})
    assert "the compilation cache has" in line


def test_a_writable_folder_is_found_so(tmp_path):
    assert doctor._writable(tmp_path)
    assert os.listdir(tmp_path) == []
