"""Work folders made by hand, and what a reader sees of the page on them."""

import html
import json
import math
import re

from mnnjax.config import Network, Problem, Study, to_dict
from mnnjax.report import write_report
from mnnjax.study.workdir.results_table import _to_csv

GAUSSIAN = Problem(d0=(4,), N=(10,))


def make_row(part, d, N, seed, mce=0.0, mse=1e-12, u=1e-2, verdict="not_certified", hidden_layers=1, d0=None, **more):
    """A row of a training study, of width d."""
    d0 = d0 or d
    parameters = d0 * d + (hidden_layers - 1) * d * d + d
    return common_columns(part, hidden_layers, d0, d, N, seed) | {
        "parameters": parameters, "mse": mse, "mce": mce, "min_abs_neural_input": u, "verdict": verdict,
    } | more  # fmt: skip


def common_columns(part, hidden_layers, d0, d1, N, seed):
    """The columns that are never empty."""
    return {
        "study": part, "cell": f"{part}.h{hidden_layers}.d{d0}x{d1}.N{N}", "inputs": "gaussian", "labels": "random",
        "hidden_layers": hidden_layers, "d0": d0, "d1": d1, "N": N, "rho": 0.0, "bias": False,
        "parameters": d0 * d1 + d1, "seed": seed, "data_seed": seed,
    }  # fmt: skip


def make_workdir(path, study, rows):
    """A folder with these results; without the file where `rows` is None."""
    path.mkdir(parents=True)
    (path / "config.json").write_text(json.dumps(to_dict(study)))
    if rows is not None:
        (path / "results.csv").write_text(_to_csv(rows))
    return path


def report(path, study, rows):
    """The page as text of a workdir made of these rows."""
    return text_of(write_report([make_workdir(path, study, rows)]))


def text_of(page):
    """What a reader sees: no tags, no style sheet."""
    body = re.sub(r"<script.*?</script>", " ", page.read_text().partition("<body>")[2], flags=re.DOTALL)
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", body)).split())


def report_files(path):
    """The names in a work folder's report, without the record of them."""
    return {p.name for p in (path / "report").iterdir()} - {".written"}


def status_of(page_text):
    """The badge: what stands right after the row's heading."""
    statuses = "agrees in part|agrees|does not agree|cannot be judged"
    return re.search(rf"Agreement (?:so far )?({statuses})\b", page_text).group(1)


def written(path):
    """The bytes of all files of a folder."""
    return {p.relative_to(path): p.read_bytes() for p in sorted(path.rglob("*")) if p.is_file()}


def figure_5_1(mce_of_ratio, widths=(10, 20), ratios=(0.25, 0.5, 0.8, 1.2, 2.0), repeats=3, layers=(1,)):
    """A study and its rows, with MCE a function of parameters / N (and the repetition)."""
    study = Study("curves", GAUSSIAN, Network(hidden_layers=layers), repeats=repeats, figure="fig5_1")
    rows = [
        make_row("curves", d, N, k, mce_of_ratio(parameters / N, k), hidden_layers=depth)
        for depth in layers
        for d in widths
        for parameters in [depth * d * d + d]
        for N in [math.ceil(parameters / r) for r in ratios]
        for k in range(repeats)
    ]
    return study, rows


def as_claimed(ratio, k):
    """An MCE that is 0 as soon as there are as many parameters as points."""
    return max(0.0, 0.3 * (1 - ratio)) * (1 + 0.1 * k)


def figure_5_2():
    """A study and its rows, one of which overflowed, while another ended at a kink."""
    rows = [
        make_row("dots", d, d * d // 5, k, mse=10.0 ** (-20 - k), u=0.1 / (k + 1)) for d in (5, 10) for k in range(4)
    ]
    rows[1] |= {"mse": math.nan, "mce": math.nan, "min_abs_neural_input": math.nan, "verdict": "non_finite"}
    rows[2] |= {"min_abs_neural_input": 0.0, "verdict": "suboptimal_kink"}
    return Study("dots", GAUSSIAN, figure="fig5_2", repeats=4), rows


def p_of(x, middle, width):
    """A fraction that rises through 1/2: 25 % and 75 % lie a width apart, evenly about the middle."""
    return 1 / (1 + 9.0 ** (-(x - middle) / width))
