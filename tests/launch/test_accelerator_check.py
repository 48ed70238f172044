"""launch/accelerator_check.sh: complete on the CPU, and with failing checks."""

import importlib
import json
import os
import signal
import subprocess
import sys

import pytest

from tests.launch.stubs import ROOT

SECTIONS = {
    "machine", "numbers", "gradients", "steps", "quickstart", "stop",
    "limits", "adam", "gaussian_large", "levenberg_marquardt", "adam_torch",
}  # fmt: skip


@pytest.fixture
def benchmarks(monkeypatch):
    """Imports a module of tests/benchmarks."""
    monkeypatch.syspath_prepend(ROOT / "tests" / "benchmarks")
    return importlib.import_module


@pytest.fixture
def accelerator(benchmarks):
    before = signal.getsignal(signal.SIGTERM)
    yield benchmarks("accelerator")
    signal.signal(signal.SIGTERM, before)


@pytest.mark.slow
def test_whole_on_the_cpu(tmp_path):
    environment = {
        name: value for name, value in os.environ.items() if name not in ("XLA_FLAGS", "JAX_NUM_CPU_DEVICES")
    }
    environment |= {"PYTHON": sys.executable, "JAX_PLATFORMS": "cpu"}
    command = ["bash", "launch/accelerator_check.sh", "--small", "--out", tmp_path / "out", "--part-seconds", "1200"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith("accelerator_check: no accelerator: CPU, small sizes, the times mean nothing\n")
    found = json.loads((tmp_path / "out" / "accelerator.json").read_text())
    assert found["finished"]
    assert not found["accelerator"]
    assert found["wrong"] == []
    assert found["sections"].keys() == SECTIONS
    for name, section in found["sections"].items():
        assert section["rows"], name
        assert section["title"] in (tmp_path / "out" / "accelerator.md").read_text()
        if section["part"] == "right":
            assert {row["met"] for row in section["rows"]} <= {"yes", ""}
            assert "yes" in {row["met"] for row in section["rows"]}
    assert found["machine"]["platform"] == "cpu"
    assert found["arguments"]["small"] == "True"
    (exact,) = {row["below 1e-20"] for row in found["sections"]["levenberg_marquardt"]["rows"]}
    assert exact == 4


def repetition(seed, mse, mce=0.25, verdict="not_converged", precision="float32"):
    row = {"study": "a", "cell": "a.N100", "seed": seed, "N": 100, "mse": mse, "mce": mce}
    return {name: str(value) for name, value in (row | {"verdict": verdict, "precision": precision}).items()}


def test_rounding_alone_is_no_difference(benchmarks):
    right = benchmarks("accelerator_right")
    assert right.differences([repetition(0, 0.1 * (1 + 1e-6))], [repetition(0, 0.1)]) == []
    # In float64 it would be.
    rows = [repetition(0, mse, precision="float64") for mse in (0.1 * (1 + 1e-6), 0.1)]
    assert len(right.differences(rows[:1], rows[1:])) == 1
    assert right.differences([repetition(0, "nan")], [repetition(0, "nan")]) == []


@pytest.mark.parametrize(
    ("other", "kind", "told"),
    [
        (repetition(1, 0.1, verdict="global_minimum"), "differs", "verdict global_minimum, not not_converged"),
        (repetition(1, 0.1, mce=0.27), "differs", "+2 of 100 points wrong"),
        (repetition(1, 0.101), "differs", "MSE 0.101, not 0.1"),
        (repetition(1, "nan"), "non-finite", "MSE nan, not 0.1"),
        (repetition(2, 0.1), "missing", "missing there"),
    ],
)
def test_a_difference_is_counted(benchmarks, other, kind, told):
    right = benchmarks("accelerator_right")
    expected = [repetition(seed, 0.1) for seed in range(2)]
    found = [repetition(0, 0.1), other]
    assert (kind, told) in [(line["kind"], line["is"]) for line in right.differences(found, expected)]
    rows = list(right.compared(found, expected, checked=True))
    assert "NO" in {row["met"] for row in rows}
    assert "NO" not in {row["met"] for row in right.compared(expected, expected, checked=True)}


def test_one_repetition_in_ten_may_end_elsewhere(benchmarks):
    """Training amplifies rounding."""
    right = benchmarks("accelerator_right")
    expected = [repetition(seed, 0.1) for seed in range(20)]
    for elsewhere, met in ((2, "yes"), (3, "NO")):
        found = [repetition(seed, 0.2 if seed < elsewhere else 0.1) for seed in range(20)]
        *_, last = right.compared(found, expected, checked=True)
        assert (last["measured"], last["met"]) == (elsewhere, met)


def test_nan_is_never_right(benchmarks):
    right, harness = benchmarks("accelerator_right"), benchmarks("harness")
    good = {"W1": right.np.ones(2), "z": right.np.ones(2)}
    bad = good | {"z": right.np.array([1, right.np.nan])}
    assert harness.wanted("", right.distance(good, good), most=0)["met"] == "yes"
    assert harness.wanted("", right.distance(bad, good), most=1)["met"] == "NO"


def test_a_missing_package_is_told_in_one_line(accelerator, monkeypatch, tmp_path, capsys):
    monkeypatch.setitem(accelerator.NEEDED, "no_such_module", "no-such-package")
    monkeypatch.setattr(accelerator, "ROOT", tmp_path)
    assert accelerator.main(["--out", str(tmp_path / "out")]) == 2
    out, err = capsys.readouterr()
    assert (out, len(err.splitlines())) == ("", 1)
    assert "lacks no-such-package;" in err
    assert "pip download --no-deps --only-binary=:all:" in err


FAKES = """
import os, time

def machine(context):
    yield {"machine": "platform", "is": "cpu"}

def broken(context):
    yield {"what": "before", "met": "yes"}
    raise ValueError("the first line\\nthe second")

def killed(context):
    yield {"what": "before", "met": "yes"}
    os._exit(3)

def slow(context):
    yield {"what": "before", "met": "yes"}
    time.sleep(600)

def good(context):
    yield {"what": sorted(context["rows"]), "met": "yes"}
"""


def test_a_section_that_breaks_leaves_a_row_and_the_rest_goes_on(accelerator, monkeypatch, tmp_path, capsys):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "fakes.py").write_text(FAKES)
    monkeypatch.setattr(accelerator, "MACHINE", accelerator.Section("machine", "Machine", 60, "fakes"))
    sections = [accelerator.Section(name, name, 60, "fakes") for name in ("broken", "killed", "good")]
    options = accelerator.parse(["right", "--out", str(tmp_path / "out")])
    options.out.mkdir()
    assert accelerator.check(options, tmp_path, {"right": tuple(sections)}) == 1
    found = json.loads((tmp_path / "out" / "accelerator.json").read_text())
    rows = {name: section["rows"] for name, section in found["sections"].items()}
    before = {"what": "before", "met": "yes"}
    assert rows["broken"][0] == before
    assert rows["broken"][1]["failed"] == "ValueError: the first line"
    assert rows["killed"] == [before, {"failed": "its process ended with exit code 3"}]
    assert rows["good"] == [{"what": ["broken", "killed"], "met": "yes"}]
    assert found["finished"]
    assert "WRONG: broken: ValueError: the first line" in capsys.readouterr().out


@pytest.mark.slow
def test_a_section_is_ended_at_its_limit(accelerator, monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "fakes.py").write_text(FAKES)
    rows: list[dict] = []
    accelerator.run_section(accelerator.Section("slow", "slow", 60, "fakes"), {"rows": {}}, 2.0, rows.append)
    assert rows == [{"what": "before", "met": "yes"}, {"failed": "not done within 2 s"}]


def test_wrong_usage():
    for arguments, told in ((["--python", "no/such/python"], "no such Python"), (["sideways"], "invalid choice")):
        done = subprocess.run(
            ["bash", "launch/accelerator_check.sh", *arguments],
            cwd=ROOT, env=os.environ | {"PYTHON": sys.executable}, capture_output=True, text=True,
        )  # fmt: skip
        assert done.returncode == 2
        assert told in done.stderr


def test_gradients_in_tf32_would_be_told(benchmarks):
    """Against NumPy's products of numbers with 10 bits after the first."""
    right = benchmarks("accelerator_right")
    np = right.np

    def rounded(a):
        return ((np.float32(a).view(np.uint32) + np.uint32(0x1000)) & np.uint32(0xFFFFE000)).view(np.float32)

    X, y, W, z = right.points_off_kinks(1500, 40, 8)
    U = rounded(X) @ rounded(W[0]).T
    back = np.float32(2 / len(y)) * (rounded(np.maximum(U, 0)) @ rounded(z[0]) - y)
    slopes = back[:, None] * z[0] * (U > 0)
    in_tf32 = {"W1": rounded(slopes).T @ rounded(X), "z": rounded(back) @ rounded(np.maximum(U, 0))}
    exact = right.numpy_gradient(W[0], z[0], X, y)
    allowed = right.TIMES_FLOAT32 * right.distance(right.numpy_gradient(W[0], z[0], X, y, np.float32), exact)
    assert right.distance(in_tf32, exact) > 10 * allowed
