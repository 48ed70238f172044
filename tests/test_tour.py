"""The tour of the paper: what it tells is true, checked by other ways, and the same each time."""

import itertools
import json
import math
import runpy
import subprocess
import sys
from collections import Counter

import matplotlib.image
import numpy as np
import pytest

from tests.project import ROOT

TOUR = ROOT / "configs/tour.py"
STEPS = (
    "definition_1", "equation_2_3", "lemma_2", "section_3", "definition_3", "definition_4", "theorem_6", "theorem_8",
    "theorem_9", "theorem_10",
)  # fmt: skip
PICTURES = [f"{number:02}_{step}.png" for number, step in enumerate(STEPS, start=1)]
slow = pytest.mark.slow


@pytest.fixture(scope="module")
def tours(tmp_path_factory):
    """The folders and the texts of two runs, side by side."""
    folders = [tmp_path_factory.mktemp("tour") / "made" for _ in range(2)]
    commands = [[sys.executable, str(TOUR), "--output", str(folder)] for folder in folders]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    runs = [subprocess.Popen(command, **pipes) for command in commands]
    texts = [run.communicate() for run in runs]
    assert [run.returncode for run in runs] == [0, 0], texts
    return [(folder, out.replace(str(folder), "DIR")) for folder, (out, _) in zip(folders, texts, strict=True)]


@pytest.fixture(scope="module")
def numbers(tours) -> dict:
    return json.loads((tours[0][0] / "numbers.json").read_text())


@pytest.fixture(scope="module")
def patterns(numbers) -> Counter:
    """How many of 36 000 directions of w have each activation pattern."""
    turn = np.arange(36_000) * 2 * np.pi / 36_000
    return Counter(map(tuple, (np.stack([np.cos(turn), np.sin(turn)], 1) @ np.array(numbers["X"]).T > 0).tolist()))


@slow
def test_twice_the_same(tours):
    (first, text), (second, again) = tours
    assert text == again
    for name in (*PICTURES, "index.html", "numbers.json"):
        assert (first / name).read_bytes() == (second / name).read_bytes(), name


@slow
def test_the_pictures_and_the_page(tours):
    folder, text = tours[0]
    page = (folder / "index.html").read_text()
    assert sorted(path.name for path in folder.iterdir()) == [*PICTURES, "index.html", "numbers.json"]
    for number, name in enumerate(PICTURES, start=1):
        pixels = matplotlib.image.imread(folder / name)[..., :3]
        assert min(pixels.shape[:2]) > 600
        assert pixels.std() > 0.05
        assert f"src={name}" in page
        assert f"\n{number}. " in text
        assert f"DIR/{name}" in text
    for title in ("Definition 1", "Lemma 2", "Definition 3", "Definition 4", "Definition 5", "Corollary 7"):
        assert title in text


@slow
def test_asymptotic_expressions_are_said_to_be_no_bounds(tours):
    steps = tours[0][1].split("\n\n> ")
    for function in ("log_volume_suboptimal", "log_volume_global", "log_volume_ratio"):
        (step,) = [" ".join(step.split()) for step in steps if function in step]
        assert "Leading order, no bound at N = 6" in step


@slow
def test_cells_and_their_volumes(numbers, patterns):
    assert numbers["definition_1"]["cells"] == len(patterns) == 12
    assert numbers["definition_1"]["regions"]["3"] == [12**3, 2**18]
    exact, hits = numbers["definition_3"]["exact"], numbers["definition_3"]["hits"]
    assert sorted(exact) == pytest.approx(sorted(count / 36_000 for count in patterns.values()), abs=1e-4)
    assert sum(exact) == pytest.approx(1, abs=1e-12)
    for volume, count in zip(exact, hits, strict=True):
        assert abs(count / 2000 - volume) < 4 * math.sqrt(volume * (1 - volume) / 2000)
    assert numbers["definition_3"]["inside"] == 12


@slow
def test_the_gradient(numbers):
    assert numbers["equation_2_3"]["apart"] < 1e-13
    assert numbers["equation_2_3"]["regions"] >= 5


@slow
def test_training_ends_where_its_region_says(numbers, patterns):
    X, y = np.array(numbers["X"]), np.array(numbers["y"])
    lemma = {name: np.array(values) for name, values in numbers["lemma_2"].items()}
    is_dlm = np.isin(lemma["verdict"], ("global_minimum", "suboptimal_dlm"))
    gaps = lemma["mse"] - lemma["foretold"]
    assert np.abs(gaps[is_dlm]).max() < 1e-9
    assert gaps.min() > -1e-9
    assert (lemma["mse"][lemma["verdict"] == "global_minimum"] < 1e-15).all()
    assert (lemma["mse"][lemma["verdict"] == "suboptimal_dlm"] > 1e-4).all()
    # By least squares on every region of three neurons.
    known = []
    for chosen in itertools.combinations_with_replacement(patterns, 3):
        M = np.hstack([X * np.array(pattern)[:, None] for pattern in chosen])
        known.append(np.mean((y - M @ np.linalg.lstsq(M, y)[0]) ** 2))
    assert np.abs(lemma["mse"][is_dlm][:, None] - known).min(axis=1).max() < 1e-9


@slow
def test_volumes_of_two_and_more_neurons(numbers, patterns):
    kinds, exact = numbers["section_3"], numbers["definition_4"]["exact"]
    assert sum(kinds["count"].values()) == 144
    assert sum(kinds["area"].values()) == pytest.approx(1, abs=1e-12)
    # One decided region by region, the other by classes of regions.
    assert kinds["area"]["bad"] == pytest.approx(exact[1]["suboptimal"], abs=1e-12)
    assert kinds["area"]["global"] == pytest.approx(exact[1]["global_minima"], abs=1e-12)
    assert min(kinds["count"].values()) > 0
    assert [volumes["regions"] for volumes in exact] == [12, 144, 1728, 20736]
    for volumes in exact:
        assert volumes["total"] == pytest.approx(1, abs=1e-12)
        assert volumes["suboptimal"] <= volumes["rank_deficient"]
    for name in ("suboptimal", "global_minima", "rank_deficient"):
        drawn = numbers["definition_4"]["drawn"][name]
        assert drawn["low"] <= exact[2][name] <= drawn["high"]
    X, draws = np.array(numbers["X"]), 4000
    A = np.random.default_rng(0).standard_normal((draws, 4, 2)) @ X.T > 0
    M = (A.transpose(0, 2, 1)[..., None] * X[:, None, :]).reshape(draws, len(X), -1)
    share, volume = np.mean(np.linalg.matrix_rank(M) < len(X)), exact[3]["rank_deficient"]
    assert abs(share - volume) < 4 * math.sqrt(volume * (1 - volume) / draws)


@slow
def test_minima_on_edges_of_the_map(numbers):
    """At each cross one neuron is zero at a point, and no small change lowers the loss of its least squares fit."""
    X, y = np.array(numbers["X"]), np.array(numbers["y"])
    found = numbers["section_3"]["on_edges"]
    assert found
    rng = np.random.default_rng(0)
    for *degrees, verdict in found:
        W = np.stack([np.cos(np.radians(degrees)), np.sin(np.radians(degrees))], axis=1)
        U = X @ W.T
        assert np.abs(U[:, 0]).min() < 1e-7 < np.abs(U[:, 1]).min()
        z = np.linalg.lstsq(np.maximum(U, 0), y)[0]
        loss = np.mean((np.maximum(U, 0) @ z - y) ** 2)
        assert (loss < 1e-12) == (verdict == "global_minimum")
        for _ in range(200):
            dW, dz = 1e-4 * rng.standard_normal((2, 2)), 1e-4 * rng.standard_normal(2)
            assert np.mean((np.maximum(X @ (W + dW).T, 0) @ (z + dz) - y) ** 2) > loss - 1e-12


@slow
def test_a_global_minimum_is_written_down(numbers):
    X, y = np.array(numbers["X"]), np.array(numbers["y"])
    W, z = np.array(numbers["theorem_8"]["W"]), np.array(numbers["theorem_8"]["z"])
    assert W.shape == (4 * math.ceil(6 / 2), 2)
    assert np.abs(X @ W.T).min() > 1e-6
    np.testing.assert_allclose(np.maximum(X @ W.T, 0) @ z, y, atol=1e-9)
    assert numbers["theorem_8"]["verdict"] == "global_minimum"


@slow
def test_the_theorems_beside_what_was_measured(numbers):
    gamma = 0.23 * 0.1**0.75
    bad, good, ratio = (numbers[step]["measured"] for step in ("theorem_6", "theorem_9", "theorem_10"))
    line = [math.exp(-gamma * 6**0.75 * (2 * int(d1)) ** 0.25) for d1 in bad]
    assert numbers["theorem_6"]["line"] == pytest.approx(line, rel=1e-12)
    assert numbers["theorem_9"]["line"] == pytest.approx(6.0**-12, rel=1e-12)
    assert numbers["theorem_10"]["crossing"] == pytest.approx(6 * (2 * math.log(6) / gamma) ** 4, rel=1e-9)
    for d1 in bad:
        assert ratio[d1]["estimate"] == pytest.approx(bad[d1]["estimate"] / good[d1]["estimate"])
        assert ratio[d1]["low"] <= ratio[d1]["estimate"] <= ratio[d1]["high"]
    assert ratio["8"]["high"] < 1 < ratio["1"]["low"]
    sets = numbers["theorem_6"]["sets"]
    error = np.std(sets, ddof=1) / math.sqrt(len(sets)) + (bad["2"]["high"] - bad["2"]["low"]) / 4
    assert abs(np.mean(sets) - bad["2"]["estimate"]) < 4 * error
    assert [name[0] for name in numbers["theorem_9"]["failed"]] == ["3", "4"]


def test_a_bad_folder_is_one_line(tmp_path, capsys):
    file = tmp_path / "file"
    file.write_text("")
    main = runpy.run_path(str(TOUR))["main"]
    for output in (file, file / "below"):
        assert main(["--output", str(output)]) == 2
        out, err = capsys.readouterr()
        assert (out, err.count("\n")) == ("", 1)
        assert err.startswith(f"--output: {output}: ")
