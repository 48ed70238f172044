"""The tour of the paper: what it tells is true, checked by other ways, and the same each time."""

import html
import itertools
import json
import math
import re
import runpy
import shutil
import subprocess
import sys
from collections import Counter
from xml.etree import ElementTree

import matplotlib.image
import numpy as np
import pytest

from tests.project import ROOT

TOUR = ROOT / "configs/tour.py"
FORMULAS = ROOT / "configs/results/tour/formulas.json"
STEPS = (
    "definition_1", "equation_2_3", "lemma_2", "section_3", "definition_3", "definition_4", "theorem_6", "theorem_8",
    "theorem_9", "theorem_10", "kinks",
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
        assert f'src="{name}"' in page
        assert f"\n{number}. " in text
        assert f"DIR/{name}" in text
    for title in ("Definition 1", "Lemma 2", "Definition 3", "Definition 4", "Definition 5", "Corollary 7"):
        assert title in text
    assert "$" not in re.sub(r"<pre>.*?</pre>", "", page, flags=re.DOTALL)
    assert page.count("<math") > 80
    shown = html.unescape(re.sub(r"<[^>]+>", "", page))
    for step in STEPS:  # the code, as it is in the file
        assert re.search(rf"^@step\ndef {step}\(.*?(?=\n\S)", TOUR.read_text(), re.DOTALL | re.MULTILINE)[0] in shown


@slow
def test_a_phone_shows_the_page_without_scrolling_sideways(tours, tmp_path):
    if (chromium := shutil.which("chromium") or shutil.which("google-chrome")) is None:
        pytest.skip("needs Chromium")
    frame = (
        '<iframe src="{}" style="border:0;width:390px;height:900px"></iframe><script>onload = () => {{ document.title'
    )
    frame += ' = document.querySelector("iframe").contentDocument.documentElement.scrollWidth }}</script>'
    (tmp_path / "frame.html").write_text(frame.format((tours[0][0] / "index.html").as_uri()))
    command = [chromium, "--headless", "--no-sandbox", "--disable-gpu", "--allow-file-access-from-files", "--dump-dom"]
    command += ["--virtual-time-budget=5000", (tmp_path / "frame.html").as_uri()]
    run = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert int(re.search(r"<title>(\d+)</title>", run.stdout)[1]) <= 390, run.stdout


def percent_cells() -> list[tuple[str, str]]:
    """Kind and text of the cells of the script, line by line."""
    cells = []
    for line in TOUR.read_text().splitlines():
        if line.startswith("# %%"):
            cells.append(("markdown" if line.endswith("[markdown]") else "code", []))
        else:
            cells[-1][1].append(line.removeprefix("#").removeprefix(" ") if cells[-1][0] == "markdown" else line)
    return [(kind, "\n".join(lines).strip()) for kind, lines in cells]


def test_the_notebook_is_the_script():
    """Else: python -m tests.tour_files."""
    notebook = json.loads(TOUR.with_suffix(".ipynb").read_text())
    cells = [(cell["cell_type"], "".join(cell["source"]).strip()) for cell in notebook["cells"]]
    assert cells == percent_cells()
    assert not any(cell.get("outputs") for cell in notebook["cells"])
    assert cells[0][0] == "markdown"
    assert cells[1][0] == "code"


def test_every_formula_has_its_mathml():
    """Else: python -m tests.tour_files."""
    used = {f for kind, text in percent_cells() if kind == "markdown" for f in re.findall(r"\$([^$]+)\$", text)}
    formulas = json.loads(FORMULAS.read_text())
    assert set(formulas) == used
    for tex, mathml in formulas.items():
        root = ElementTree.fromstring(mathml)
        assert root.tag == "{http://www.w3.org/1998/Math/MathML}math"
        # Letters and digits but those of commands, in their order.
        letters = re.sub(r"\\(?!mathrm|exp|log|diag|rank)[a-z]+", "", tex)
        shown = "".join(c for c in "".join(root.itertext()) if c.isascii() and c.isalnum())
        assert sorted(shown) == sorted(re.sub(r"mathrm|[^A-Za-z0-9]", "", letters)), tex


def test_the_address_of_the_repository_is_the_same_everywhere():
    address = re.search(r'^REPOSITORY = "(.+)"', TOUR.read_text(), re.MULTILINE)[1]
    texts = [path.read_text() for path in (TOUR, TOUR.with_suffix(".ipynb"), ROOT / "README.md")]
    badges = [badge for text in texts for badge in re.findall(r"colab\.research\.google\.com/github/([^)]+)\)", text)]
    assert set(badges) == {f"{address}/blob/main/configs/tour.ipynb"}


@slow
def test_cells_run_from_top_to_bottom_show_each_step():
    """As a notebook runs them, with IPython's display replaced; the first steps are enough."""
    code = [text for kind, text in percent_cells() if kind == "code"]
    program = "\n".join([
        "import builtins, sys, types",
        "builtins.get_ipython = lambda: None",
        "shown = []",
        "display = types.SimpleNamespace(Image=lambda png, width: png, Markdown=str)",
        "display.display = lambda *what: shown.append(what)",
        "sys.modules['IPython'], sys.modules['IPython.display'] = types.SimpleNamespace(version_info=(9, 0)), display",
        f"for cell in {[*code[:5], code[-1]]!r}:",
        "    exec(cell, globals())",
        "assert [png[:4] for png, _ in shown] == [b'\\x89PNG'] * 2, shown",
        "assert 'lists 12 cells' in shown[0][1] and '6 regions are crossed' in shown[1][1]",
    ])  # fmt: skip
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr


def test_importing_runs_nothing(capsys):
    steps = runpy.run_path(str(TOUR))["STEPS"]
    assert tuple(steps) == STEPS
    assert capsys.readouterr() == ("", "")


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


@pytest.fixture(scope="module")
def kinks(numbers) -> dict:
    """The last step's numbers; its ends as arrays."""
    found = dict(numbers["kinks"], X=np.array(numbers["X"]), y=np.array(numbers["kinks"]["y"]))
    found["ends"] = [(np.array(end["W"]), np.array(end["z"]), end["verdict"]) for end in found["ends"]]
    return found


def relu_loss(X, y, W, z) -> float:
    return np.mean((np.maximum(X @ W.T, 0) @ z - y) ** 2)


@slow
def test_descents_end_at_minima_of_the_kinds_that_are_told(kinks):
    X, y, count = kinks["X"], kinks["y"], kinks["count"]
    assert len(kinks["ends"]) == sum(count.values()) == 200
    assert min(count["global_minimum"], count["suboptimal_dlm"], count["suboptimal_kink"]) >= 10
    rng = np.random.default_rng(1)
    kinds = Counter()
    for W, z, verdict in kinks["ends"]:
        loss = relu_loss(X, y, W, z)
        assert (loss < 1e-15) == (verdict == "global_minimum")
        U = np.abs(X @ W.T) / (np.linalg.norm(W, axis=1) + 1e-300)
        dead = ~W.any(axis=1)
        if verdict != "global_minimum":
            assert (U.min() < 1e-9) == (verdict == "suboptimal_kink")
        kinds["zero_neuron" if verdict == "suboptimal_kink" and dead.any() else verdict] += 1
        for size in (1e-4, 1e-6):
            for _ in range(50):
                dW, dz = size * rng.standard_normal(W.shape), size * rng.standard_normal(z.shape)
                assert relu_loss(X, y, W + dW, z + dz) > loss - 1e-14
    assert kinds == {kind: number for kind, number in count.items() if number}


@slow
def test_multipliers_lie_in_their_intervals_and_are_slopes_of_the_loss(kinks):
    X, y = kinks["X"], kinks["y"]
    assert len(kinks["pairs"]) >= 10
    for end, k, n, r, multiplier in kinks["pairs"]:
        W, z, verdict = kinks["ends"][end]
        assert verdict == "suboptimal_kink"
        assert abs(X[n] @ W[k]) < 1e-9
        assert np.maximum(X @ W.T, 0)[n] @ z - y[n] == pytest.approx(r, abs=1e-9)
        assert min(0, r) - 1e-9 <= multiplier <= max(0, r) + 1e-9
        # One-sided slopes of N MSE / 2 across the fold, where w_k . x(n) changes by 1 per step.
        slopes = []
        for side in (1e-7, -1e-7):
            moved = W.copy()
            moved[k] += side * X[n] / (X[n] @ X[n])
            slopes.append(3 * (relu_loss(X, y, moved, z) - relu_loss(X, y, W, z)) / 1e-7)
        assert slopes == pytest.approx([z[k] * (r - multiplier), z[k] * multiplier], abs=1e-5)


@slow
def test_the_minimum_that_is_drawn(kinks):
    """Its loss is that of least squares on its face, and rises on both sides of the fold by more than rounding."""
    X, y, (end, k, n) = kinks["X"], kinks["y"], kinks["drawn"]
    W, z, _ = kinks["ends"][end]
    held = np.abs(X @ W.T) < 1e-9
    blocks = [X * ((X @ w > 0) & ~b)[:, None] for w, b in zip(W, held.T, strict=True)]
    free = [np.eye(2) if not b.any() else np.array([[-X[b][0, 1]], [X[b][0, 0]]]) for b in held.T]
    M = np.hstack([block @ basis for block, basis in zip(blocks, free, strict=True)])
    residual = M @ np.linalg.lstsq(M, y)[0] - y
    loss = relu_loss(X, y, W, z)
    assert loss == pytest.approx(np.mean(residual**2), abs=1e-12)
    assert loss > 1e-3
    (pair,) = [pair for pair in kinks["pairs"] if pair[:3] == [end, k, n]]
    assert 0.1 < pair[4] / pair[3] < 0.9
    for side in (1e-4, -1e-4):
        moved = W.copy()
        moved[k] += side * X[n]
        assert relu_loss(X, y, moved, z) > loss + 1e-6


def test_a_bad_folder_is_one_line(tmp_path, capsys):
    file = tmp_path / "file"
    file.write_text("")
    main = runpy.run_path(str(TOUR))["main"]
    for output in (file, file / "below"):
        assert main(["--output", str(output)]) == 2
        out, err = capsys.readouterr()
        assert (out, err.count("\n")) == ("", 1)
        assert err.startswith(f"--output: {output}: ")
