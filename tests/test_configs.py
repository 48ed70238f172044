"""Every config: it says what it is, plans at full size, and its small variant runs to the end."""

import ast
import json
import math

import numpy as np
import pytest

from mnnjax import cli
from mnnjax.cli.config_file import load_config
from mnnjax.config import Study
from mnnjax.study.plan import grid as plan
from mnnjax.study.workdir.results_table import read_csv
from tests.project import CONFIGS, TINY_IMAGENET

names = pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)


@pytest.mark.parametrize("path", [*CONFIGS, TINY_IMAGENET], ids=lambda path: path.stem)
def test_the_docstring_gives_command_expectation_and_time(path):
    text = ast.get_docstring(ast.parse(path.read_text()))
    assert f"mnnjax run configs/{path.name}" in text
    for heading in ("Command:", "Reproduces:", "Expect:", "Time:"):
        assert heading in text


@names
def test_both_variants_are_studies_of_the_same_name(path):
    study, small = load_config(str(path)), load_config(str(path), small=True)
    assert isinstance(study, Study)
    assert study.name == small.name
    cells = plan.cells(study)
    assert len({cell.id for cell in cells}) == len(cells)
    assert sum(c.work for c in plan.cells(small)) < 0.05 * sum(c.work for c in cells)


# Data that cannot be had here are stood in for by photographs of the same shapes.
STAND_INS = {"cifar10": "patches32", "imagenet64": "patches64"}


# The others show what all configs have in common.
QUICK = {"digits"}
SMALL = [pytest.param(p, id=p.stem, marks=[] if p.stem in QUICK else [pytest.mark.slow]) for p in CONFIGS]


@pytest.mark.parametrize("path", SMALL)
def test_small_runs_to_a_report(path, tmp_path, capsys, request):
    small = load_config(str(path), small=True)
    options = ["--problem.inputs", STAND_INS[path.stem]] if path.stem in STAND_INS else []
    if path.stem.startswith("mnist"):
        files = request.getfixturevalue("real_mnist")
        options = ["--data-dir", str(tmp_path)]
        assert cli.main(["data", "import", "mnist", "--from", str(files), *options]) == 0
    assert cli.main(["run", str(path), "--small", "--workdir", str(tmp_path / "run"), *options]) == 0
    rows = read_csv(tmp_path / "run/results.csv")
    assert len(rows) == sum(cell.part.repeats for cell in plan.cells(small))
    assert {row["study"] for row in rows} == {part.name for part in small.parts}
    assert all(row["verdict"] or row["rank_deficient"] for row in rows)
    assert "<html" in (tmp_path / "run/report.html").read_text()
    log = [json.loads(line) for line in (tmp_path / "run/metrics.jsonl").read_text().splitlines()]
    assert log[0]["event"] == "start"
    assert log[-1]["event"] == "end"


@pytest.mark.slow
def test_small_of_tiny_imagenet_runs_on_images_of_its_shape(tmp_path):
    rng = np.random.default_rng(0)
    images, labels = rng.integers(0, 256, (600, 64, 64, 3), np.uint8), np.arange(600) % 200
    np.savez(tmp_path / "images.npz", images=images, labels=labels)
    kept = ["--data-dir", str(tmp_path / "data")]
    assert cli.main(["data", "import", "tiny_imagenet", "--from", str(tmp_path / "images.npz"), *kept]) == 0
    assert cli.main(["run", str(TINY_IMAGENET), "--small", "--workdir", str(tmp_path / "run"), *kept]) == 0
    (line,) = read_csv(tmp_path / "run/report/tiny_imagenet.csv")
    assert (line["paper_data"], line["N"], line["repetitions"]) == ("part of ImageNet 64x64", "512", "2")


def test_the_volume_studies_have_the_sizes_that_are_asked_for():
    def cells_of(name: str) -> dict[str, list[plan.Cell]]:
        planned = plan.cells(load_config(str(CONFIGS[0].with_name(name))))
        return {cell.part.name: [c for c in planned if c.part.name == cell.part.name] for cell in planned}

    ranks = cells_of("full_rank.py")
    for cell in ranks.pop("square"):
        assert cell.d0 == cell.d1
        assert cell.part.volume.global_samples > 0
    for name, own in ranks.items():
        part, sizes = own[0].part, {(c.N, c.d1) for c in own}
        assert part.problem.inputs == name.split("_")[0]
        assert part.problem.constant_input == (part.problem.inputs == "uniform")
        if "minima" in name:
            assert part.volume.output_signs == "random"
        elif name in ("uniform_d0_1", "gaussian_d0_2"):
            assert {(10, 30), (100, 300)} <= sizes
        else:
            assert {(10, 1), (190, 15)} <= sizes
            assert all(c.d0 == (-(-c.N // 2) if "half" in name else 10) for c in own)
    for name, own in cells_of("angular_volume.py").items():
        for cell in own:
            root = math.ceil(math.sqrt(cell.N) * math.log(cell.N))
            assert cell.d0 == (root if name.startswith("root") else -(-cell.N // 2))
            assert cell.part.volume.eps > 0


def test_fig5_1_and_fig5_2_have_the_sizes_of_the_paper():
    fig5_1 = load_config(str(CONFIGS[0].with_name("fig5_1.py")))
    cells = plan.cells(fig5_1)
    widths = {cell.d0 for cell in cells}
    assert len(widths) >= 5
    assert min(widths) == 10
    assert max(widths) == 50
    assert all(cell.d1 == cell.d0 and cell.part.repeats == 30 for cell in cells)
    for layers in (1, 2):
        ratios = [d**2 / c.N for d in (50,) for c in cells if (c.d0, c.hidden_layers) == (d, layers)]
        assert len(ratios) >= 12
        assert min(ratios) == pytest.approx(0.3, rel=0.01)
        assert max(ratios) == pytest.approx(5, rel=0.01)
    fig5_2 = load_config(str(CONFIGS[0].with_name("fig5_2.py")))
    cells = plan.cells(fig5_2)
    assert len(cells) >= 6
    assert all(c.d0**2 // 5 == c.N and c.d1 == c.d0 and c.part.repeats == 30 for c in cells)
    assert (fig5_2.train.precision, fig5_2.train.epochs, fig5_2.train.decay_epochs) == ("float64", 1000, 1000)
