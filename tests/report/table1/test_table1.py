"""Table 1 on the page and in its files, against hand-made results with known answers."""

import dataclasses
import json
import math
import re
import statistics

import pytest

from mnnjax.config import Network, Problem, Study, Train
from mnnjax.report import write_report
from mnnjax.study.workdir.results_table import TOO_LARGE, read_csv
from tests.report import by_hand
from tests.report.by_hand import make_workdir, report, status_of, text_of

DIGITS = Problem(inputs="digits", labels="classes")


def study_of(problem, repeats=3, train=None):
    return Study("images", problem, Network(d1=(1,)), train=train, repeats=repeats, figure="table1")


def make_row(d0, d1, N, seed, mce=0.0, verdict=TOO_LARGE, residual=1e-6, held_out_mce="", held_out_N=""):
    more = {"first_order_residual": residual, "held_out_mce": held_out_mce, "held_out_N": held_out_N}
    return by_hand.make_row("images", d1, N, seed, mce, verdict=verdict, d0=d0, **more)


def write(path, study, rows):
    """The page as text, the rows of Table 1's file and those of the other table's."""
    text = report(path, study, rows)
    return text, read_csv(path / "report" / "images.csv"), read_csv(path / "report" / "images_verdicts.csv")


def test_counts_points_and_judges_rows(tmp_path):
    rows = [make_row(64, 28, 1797, k, 2 * k / 1797) for k in range(3)]
    rows += [make_row(64, 40, 1797, k) for k in range(3)]
    page, (few, many, *paper), _ = write(tmp_path / "w", study_of(DIGITS), rows)
    assert (few["best_misclassified"], few["worst_misclassified"], few["zero_mce_repetitions"]) == ("0", "4", "1")
    assert float(few["mean_mce"]) == pytest.approx(2 / 1797)
    assert float(few["parameters_per_point"]) == 65 * 28 / 1797
    assert few["paper_data"] == few["paper_N"] == ""  # the paper has no such row
    assert [(p["data"], p["N"], p["paper_data"], p["paper_d0"], p["paper_d1"], p["paper_N"]) for p in paper] == [
        ("", "", "MNIST", "784", "89", "70000"),
        ("", "", "CIFAR-10", "3072", "16", "50000"),
        ("", "", "ImageNet 64x64", "12288", "105", "1280000"),
    ]
    # 28 units: not every repetition is at 0. 40 units: all are, but with 1.447 parameters a point.
    assert status_of(page) == "does not agree"
    assert (few["claim"], many["claim"]) == ("fails", "undecided")
    assert "Of 2 rows, 0 meet the criterion, 1 do not, 1 cannot be judged." in page
    assert "4 of 6 repetitions have MCE 0; parameters / N: 1.013 to 1.447." in page
    assert float(many["mean_mce"]) == 0

    page, _, _ = write(tmp_path / "many", study_of(DIGITS), [row for row in rows if row["d1"] == 40])
    assert status_of(page) == "cannot be judged"

    agreeing = [row | {"mce": 0.0} for row in rows if row["d1"] == 28]
    page, _, _ = write(tmp_path / "good", study_of(DIGITS), agreeing)
    assert status_of(page) == "agrees"
    lost = agreeing[0] | {"mse": math.inf, "mce": math.nan, "verdict": "non_finite"}
    page, (line, *_), _ = write(tmp_path / "lost", study_of(DIGITS), [lost, *agreeing[1:]])
    assert status_of(page) == "does not agree"
    assert (line["repetitions"], line["zero_mce_repetitions"], line["non_finite"]) == ("3", "2", "1")
    assert "1 of 3 repetitions ended non-finite" in page


# The inputs (d0, d1, N), and the paper's data beside them.
BESIDE = [
    ("mnist", "classes", (713, 89, 70_000), "MNIST"),
    ("mnist", "random", (713, 89, 70_000), "stand-in for MNIST"),
    ("cifar10", "classes", (3072, 16, 50_000), "CIFAR-10"),
    ("patches32", "random", (3072, 16, 50_000), "stand-in for CIFAR-10"),
    ("imagenet64", "classes", (12_288, 105, 1000), "ImageNet 64x64"),
    ("tiny_imagenet", "classes", (12_288, 3, 36_800), "part of ImageNet 64x64"),
    ("tiny_imagenet", "random", (12_288, 3, 36_800), "stand-in for ImageNet 64x64"),
    ("patches64", "classes", (12_288, 105, 1000), "stand-in for ImageNet 64x64"),
    ("gaussian", "random", (3072, 16, 50_000), "stand-in for CIFAR-10"),
    ("gaussian", "random", (3072, 16, 500), ""),
    ("gaussian", "random", (12_288, 105, 1_280_000), "stand-in for ImageNet 64x64"),
    ("fashion_mnist", "classes", (784, 89, 70_000), ""),
]


@pytest.mark.parametrize(("inputs", "labels", "shape", "beside"), BESIDE)
def test_the_papers_row_stands_beside_ours(tmp_path, inputs, labels, shape, beside):
    sizes = {} if inputs != "gaussian" else {"d0": shape[:1], "N": shape[2:]}
    study = study_of(Problem(inputs=inputs, labels=labels, **sizes))
    _, (ours, *rest), _ = write(tmp_path / "w", study, [make_row(*shape, 0)])
    assert ours["paper_data"] == beside
    assert tuple(int(ours[name]) for name in ("d0", "d1", "N")) == shape
    # Without a row of its own it stands over the whole of the paper's table.
    assert [line["paper_data"] for line in rest] == ([] if beside else ["MNIST", "CIFAR-10", "ImageNet 64x64"])
    assert [line["data"] for line in rest] == [""] * len(rest)
    assert ("with random labels" in ours["data"]) == (labels == "random")


def test_the_papers_whole_table_is_listed_once(tmp_path):
    """By the first of the parts without a row of their own that has results."""
    parts = [dataclasses.replace(study_of(DIGITS), name=name) for name in ("late", "first", "second")]
    mnist = dataclasses.replace(study_of(Problem(inputs="mnist", labels="classes")), name="mnist")
    names = ("mnist", "first", "second")
    rows = [make_row(64, 28, 1797, 0) | {"study": name} for name in names]
    path = make_workdir(tmp_path / "w", dataclasses.replace(mnist, also=tuple(parts)), rows)
    page = text_of(write_report([path]))
    tables = [read_csv(path / "report" / f"{name}.csv") for name in names]
    assert [[line["paper_data"] for line in table] for table in tables] == [
        ["MNIST"], ["", "MNIST", "CIFAR-10", "ImageNet 64x64"], [""]
    ]  # fmt: skip
    assert page.count("its whole table is below ours") == 1


def test_the_papers_numbers_are_those_of_its_table(tmp_path):
    """Three figures of (d0 d1 + 2 d1) / N, cut off or rounded."""
    _, (_, *paper), _ = write(tmp_path / "w", study_of(DIGITS), [make_row(64, 28, 1797, 0)])
    for line in paper:
        d0, d1, N = (int(line[f"paper_{name}"]) for name in ("d0", "d1", "N"))
        assert abs(float(line["paper_parameters_per_point"]) - (d0 * d1 + 2 * d1) / N) < 1e-3
    assert [float(line["paper_mce"]) for line in paper] == [0, 0, 0.001]


@pytest.mark.parametrize(
    ("inputs", "labels", "wrong", "status"),
    [
        ("imagenet64", "classes", 10, "agrees"),
        ("imagenet64", "classes", 11, "does not agree"),
        ("imagenet64", "random", 10, "does not agree"),
        ("tiny_imagenet", "classes", 10, "agrees"),
        ("tiny_imagenet", "random", 10, "does not agree"),
        ("patches64", "classes", 10, "does not agree"),
        ("mnist", "classes", 1, "does not agree"),
        ("patches32", "random", 0, "agrees"),
    ],
)
def test_only_imagenet_may_err_as_much_as_in_the_paper(tmp_path, inputs, labels, wrong, status):
    row = make_row(12, 105, 10_000, 0, mce=wrong / 10_000 * (1 + 5e-8))  # as float32 gives it
    page, (line, *_), _ = write(tmp_path / "w", study_of(Problem(inputs=inputs, labels=labels)), [row])
    assert status_of(page) == status
    assert line["claim"] == {"agrees": "holds", "does not agree": "fails"}[status]


def test_held_out_points_and_residuals(tmp_path):
    train = [make_row(713, d1, 60_000, k, 0.0, held_out_mce=(450 + 10 * k + d1) / 10_000, held_out_N=10_000,
                      residual=10.0 ** (-7 + k)) for d1 in (40, 80) for k in range(3)]  # fmt: skip
    lost = make_row(713, 80, 60_000, 3, math.nan, "non_finite", math.nan, 0.9, 10_000) | {"mse": math.nan}
    _, first, lines = write(tmp_path / "w", study_of(Problem(inputs="mnist", labels="classes")), [*train, lost])
    for name in ("mean_held_out_mce", "median_first_order_residual"):
        assert [line[name] for line in first] == [line[name] for line in lines]
    for line in lines:
        held_out = [(450 + 10 * k + int(line["d1"])) / 10_000 for k in range(3)]
        assert float(line["mean_held_out_mce"]) == pytest.approx(statistics.mean(held_out))
        assert float(line["std_held_out_mce"]) == pytest.approx(statistics.stdev(held_out))
        assert int(line["best_held_out_misclassified"]) == 450 + int(line["d1"])
        assert int(line["worst_held_out_misclassified"]) == 470 + int(line["d1"])
        assert (line["held_out_N"], float(line["mean_mce"])) == ("10000", 0)
        assert float(line["median_first_order_residual"]) == 1e-6
        assert float(line["max_first_order_residual"]) == 1e-5


def test_what_is_not_there_is_not_shown(tmp_path):
    rows = [make_row(64, 28, 1797, 0, residual="")]
    page, table, (line,) = write(tmp_path / "lost", study_of(DIGITS), rows)
    assert len(table) == 4
    assert all(line[name] == "" for name in ("median_first_order_residual", "mean_held_out_mce", "held_out_N"))
    assert not re.search(r"residual|held-out|\| / N", page)
    page, _, (line,) = write(tmp_path / "new", study_of(DIGITS), [make_row(64, 28, 1797, 0)])
    assert float(line["max_first_order_residual"]) == 1e-6
    assert "held-out" not in page


def test_time_is_that_of_all_invocations(tmp_path):
    """5 s until the process was killed, and 7 s of the next one."""
    row = make_row(64, 28, 1797, 0)
    path = make_workdir(tmp_path / "w", study_of(DIGITS), [row])
    assert "without whitening" not in text_of(write_report([path]))
    events = [("start", {}), ("chunk", {"seconds": 3.0}), ("chunk", {"seconds": 5.0}), ("checkpoint", {})]
    events += [("start", {}), ("chunk", {"seconds": 6.5}), ("cell_end", {"seconds": 7.0}), ("end", {})]
    lines = [{"time": "2026-11-28T05:11:37+0000", "event": name, "cell": row["cell"]} | more for name, more in events]
    (path / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    page = text_of(write_report([path]))
    assert "without whitening" in page
    assert [line["seconds"] for line in read_csv(path / "report" / "images.csv")] == ["12.0", "", "", ""]


@pytest.mark.parametrize("verdicts", [[TOO_LARGE] * 3, ["global_minimum", "not_converged", "global_minimum"]])
def test_verdicts_are_counted(tmp_path, verdicts):
    rows = [make_row(64, 28, 1797, k, verdict=verdict) for k, verdict in enumerate(verdicts)]
    page, (first, *_), (line,) = write(tmp_path / "w", study_of(DIGITS), rows)
    assert first["global_minima"] == ("" if TOO_LARGE in verdicts else "2")
    assert {verdict: int(line[verdict]) for verdict in verdicts} == {v: verdicts.count(v) for v in verdicts}
    assert ("too large for a certificate" in page) == (TOO_LARGE in verdicts)


SETTINGS = [
    (Problem(inputs="mnist", labels="classes"), "MNIST, training images (test images held out), PCA-whitened · labels"),
    (Problem(inputs="mnist", labels="classes", split="all", whitening="zca"),
     "MNIST, training and test images joined, ZCA-whitened · labels by class, the lower half against the upper half"),
    (Problem(inputs="cifar10", labels="classes", lower_classes=(0, 2)), "labels by class, 0, 2 against all others"),
    (Problem(inputs="cifar10", labels="classes", upper_classes=(3,)), "labels by class, all others against 3"),
    (Problem(inputs="imagenet64", labels="classes", lower_classes=(2, 0, 1, 7), upper_classes=(9, 8, 5)),
     "labels by class, 0-2, 7 against 5, 8-9 (plus minus one)"),
    (Problem(inputs="mnist", labels="random"), "MNIST, training images, PCA-whitened · random labels"),
    (Problem(inputs="cifar10", labels="classes", whitening="cholesky"), "held out), whitened by Cholesky's factor"),
    (Problem(inputs="patches32", labels="random", label_values="zero_one"),
     "patches 32x32x3, PCA-whitened · random labels (zero one)"),
    (Problem(d0=(12_288,), N=(10,)), "Gaussian inputs, random labels (plus minus one)"),
]  # fmt: skip


@pytest.mark.parametrize(("problem", "text"), SETTINGS)
def test_settings_of_images(tmp_path, problem, text):
    page, _, _ = write(tmp_path / "w", study_of(problem), [make_row(64, 28, 1797, 0)])
    assert text in page
    assert "spread over the devices" not in page


def test_settings_of_rows_on_the_devices(tmp_path):
    problem = Problem(inputs="mnist", labels="classes", data_sets=1)
    study = study_of(problem, train=Train(parallel="data", batch_size=1024))
    page, _, _ = write(tmp_path / "w", study, [make_row(64, 28, 1797, 0)])
    assert "rows spread over the devices, all repetitions on the same points and batches" in page
