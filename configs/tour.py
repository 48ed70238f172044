# %% [markdown]
# # A tour of the paper, on a problem that can be drawn completely
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/OWNER/mnnjax/blob/main/configs/tour.ipynb)
#
# Soudry and Hoffer (2017), [Exponentially vanishing sub-optimal local minima in multilayer neural
# networks](https://arxiv.org/abs/1702.05777), say which minima a network with one hidden layer has, and how much of
# weight space holds bad ones. Here are its steps on six points in the plane and at most eight ReLUs. All regions of
# weight space can then be listed, drawn and measured. The last step goes beyond the paper: to minima at kinks.
#
# Symbols: points $X$ ($N \times d_0$) and labels $y$; weights $W$ ($d_1 \times d_0$) and $z$; the output
# $f(X W^\top) z$ with $f$ a ReLU; the residual $e = y - f(X W^\top) z$; the activation pattern $A = f'(X W^\top)$. MSE
# is $\lvert e \rvert^2 / N$. MCE is the fraction of points on the wrong side of the threshold. DLM: differentiable
# local minimum.

# %%
"""A tour of the paper, from Definition 1 to Theorem 10 and on to kinks, on one problem that can be drawn completely.

Command:    python configs/tour.py [--output DIR]
            or open this file as a notebook (VS Code, Spyder, jupytext), or configs/tour.ipynb
Shows:      N = 6 points in the plane (d0 = 2) and up to 8 ReLUs, whose regions can be listed, drawn and measured. Each
            of eleven steps has the paper's claim, a picture, what was computed, and the functions of mnnjax that did.
            DIR (runs/tour) gets the pictures, index.html to read them in order, and numbers.json with their data. The
            pictures are also in configs/results/tour/.
Time:       One minute of processor time (AMD EPYC, two busy cores), most of it linear programs.

To be read from top to bottom, two cells a step: the statement, and the function that computes, draws and says. The
mathematics is the library's. After a change: `python -m tests.tour_files` makes what is made from this file.
"""

# ruff: noqa: E402
import subprocess
import sys

REPOSITORY = "OWNER/mnnjax"  # PLACEHOLDER until the project has a public address; the badge above repeats it
if "google.colab" in sys.modules:
    subprocess.run([sys.executable, "-m", "pip", "install", f"git+https://github.com/{REPOSITORY}"], check=True)

# %%
import argparse
import builtins
import functools
import html
import importlib.resources
import itertools
import json
import re
import textwrap
from pathlib import Path

import jax
import jax.numpy as jnp
import jinja2
import numpy as np
from matplotlib.colors import LinearSegmentedColormap, ListedColormap
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Wedge
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import PythonLexer

from mnnjax import landscape, theory
from mnnjax.config import Network, Problem, Train
from mnnjax.landscape.volumes.arrangement import cells
from mnnjax.landscape.volumes.intervals import proportion
from mnnjax.network import MNN
from mnnjax.objective import mean_squared_error
from mnnjax.problems import make_problem
from mnnjax.report.common.figure_style import DASHED, GREY, PALETTE, draw
from mnnjax.training import make_training

N, D0, RHO, EPS = 6, 2, 0.0, 0.1  # of six points, MCE > 0.1 is any error at all
PROBLEM = Problem(labels="random", label_values="zero_one", d0=(D0,), N=(N,))
draw_data = make_problem(PROBLEM, N, D0, RHO, jnp.float64)
# The first key that makes good pictures: as many ones as zeros, no two points nearly on a line with the origin, regions
# of all kinds in step 4. Steps 7, 9 and 10 draw their data anew; step 11 has other labels.
DATA = 873
BLUE, RED, _, _, AMBER, SKY, BLACK, SILVER = PALETTE

# %% [markdown]
# A step is a function of $X$ and $y$. In a notebook it runs where it is defined, and shows its picture and sentences.

# %%
Step = tuple[Figure, list[str], dict]  # the picture, the sentences below it, and the numbers behind both
STEPS = {}
IN_NOTEBOOK = __name__ == "__main__" and hasattr(builtins, "get_ipython")


@functools.cache
def data() -> tuple[np.ndarray, np.ndarray]:
    X, y = map(np.asarray, draw_data(jax.random.key(DATA), N))
    return X, y


def take(function) -> tuple[bytes, list[str], dict]:
    """A step's picture as a PNG, its sentences and its numbers, by the CPU: the same beside an accelerator."""
    taken = []
    with jax.default_device(jax.devices("cpu")[0]):
        png = draw(lambda: taken.extend(function(*data())) or taken[0]).png
    return png, *taken[1:]


def step(function):
    """Make a function a step of the tour."""
    STEPS[function.__name__] = function
    if IN_NOTEBOOK:
        from IPython.display import Image, Markdown, display

        png, sentences, _ = take(function)
        display(Image(png, width=800), Markdown("\n\n".join(sentences)))
    return function


def one_panel(width=10.0, height=6.2, **labels):
    """A figure and its only panel, with these labels, limits and so on."""
    figure = Figure(figsize=(width, height), layout="compressed")
    panel = figure.subplots()
    panel.set(**labels)
    return figure, panel


def show_estimates(panel, x, estimates, **look) -> None:
    """Volumes with their 95 % intervals."""
    value, low, high = np.array([(e.estimate, e.low, e.high) for e in estimates]).T
    panel.errorbar(x, value, (value - low, high - value), capsize=5, **look)


def listing(values, form=".2g") -> str:
    return ", ".join(format(value, form) for value in values)


def show_points(panel, X, y) -> None:
    """The data: numbered, one colour per class."""
    for label, colour, marker in ((0, BLUE, "o"), (1, RED, "s")):
        look = {"c": colour, "marker": marker, "edgecolors": "white", "label": f"$y = {label}$"}
        panel.scatter(*X[y == label].T, s=230, zorder=3, **look)
    for n, x in enumerate(X, start=1):
        panel.text(*x, n, color="white", ha="center", va="center", fontsize=12, weight="bold", zorder=4)
    panel.set(xlabel="$x_1$", ylabel="$x_2$", aspect="equal", xticks=range(-2, 3), yticks=range(-2, 3))


def digits(pattern) -> str:
    return "".join(str(int(a)) for a in pattern)


def once_around(X) -> tuple[np.ndarray, np.ndarray]:
    """The cells of one neuron around the origin: their borders in degrees (2N + 1,), and their patterns (2N, N)."""
    half = np.sort(np.degrees(np.arctan2(X[:, 1], X[:, 0]) + np.pi / 2) % 180)
    borders = np.concatenate([half, half + 180, half[:1] + 360])
    middles = np.radians((borders[1:] + borders[:-1]) / 2)
    W = np.stack([np.cos(middles), np.sin(middles)], axis=1)
    return borders, np.asarray(landscape.activation_pattern(W, X, RHO)).T


# %% [markdown]
# ## 1. Definition 1: weight space falls into regions
#
# $D_A(X) = \{W : f'(X W^\top) = A\}$ holds all $W$ with the activation pattern $A$. In this region each neuron is
# active at the same points everywhere, so the loss is smooth.
#
# One neuron's $w$ is in one of the cells into which the lines $w \cdot x^{(n)} = 0$ cut the plane. There are $2N$
# cells; in general $2 \sum_{k < d_0} \binom{N - 1}{k}$. Each neuron is in one of them. That makes $(2N)^{d_1}$ regions,
# far fewer than the $2^{d_1 N}$ patterns that can be written down.


# %%
@step
def definition_1(X, y) -> Step:
    """Draw the cells of one neuron, and count the regions of up to four."""
    borders, patterns = once_around(X)
    figure = Figure(figsize=(12.8, 6.2), layout="compressed")
    points, plane = figure.subplots(1, 2, width_ratios=(1, 1.2))
    show_points(points, X, y)
    points.set_title("the data: $N = 6$ points")
    points.legend(loc="upper left", markerscale=0.6)
    for start, end, pattern in zip(borders[:-1], borders[1:], patterns, strict=True):
        plane.add_patch(Wedge((0, 0), 1, start, end, facecolor=(BLUE, pattern.sum() / 8), edgecolor=GREY))
        middle = np.radians((start + end) / 2)
        at = 1.22 * np.array([np.cos(middle), np.sin(middle)])
        upright = np.degrees(middle) + 180 * (at[0] < 0)
        plane.text(*at, digits(pattern), rotation=upright, ha="center", va="center", family="monospace", fontsize=14)
    for n, x in enumerate(X, start=1):
        for side in (-0.88, 0.88):
            at = side * np.array([-x[1], x[0]]) / np.linalg.norm(x)
            plane.text(*at, n, ha="center", va="center", fontsize=12, bbox={"fc": "white", "lw": 0, "pad": 1})
    plane.set(xlim=(-1.45, 1.45), ylim=(-1.45, 1.45), aspect="equal", title="one neuron's weights $w$: $2N = 12$ cells")
    plane.axis("off")
    count = len(cells(X)[0])
    regions = {d1: (count**d1, 2 ** (d1 * N)) for d1 in (1, 2, 3, 4)}
    sentences = [
        "Right: the plane of w. Line n is w.x(n) = 0; beside each cell its pattern a(w.x(1)) ... a(w.x(6)), darker the "
        f"more points are active. `landscape.volumes.arrangement.cells` lists {count} cells.",
        "Regions, of patterns: " + ", ".join(f"{a} of {b} (d1 = {d1})" for d1, (a, b) in regions.items()) + ".",
    ]
    return figure, sentences, {"cells": count, "regions": regions}


# %% [markdown]
# ## 2. Section 2: in a region the loss is smooth, at its borders it has kinks
#
# In a region the output is $(A \circ X)\, \theta$, linear in $\theta_i = z_i w_i$. Row $n$ of the Khatri-Rao product
# $A \circ X$ is $a^{(n)} \otimes x^{(n)}$. So
# $\mathrm{MSE} = \lvert e \rvert^2 / N$ (2.3) is quadratic in $W$, and its gradient is
# $-\frac{2}{N}\, \mathrm{diag}(z)\, [(A \circ X)\, e]$.
#
# Where a neural input $w_i \cdot x^{(n)}$ changes sign, $A$ changes, and the slope jumps.


# %%
@step
def equation_2_3(X, y) -> Step:
    """Compare the formula with autodiff on a segment of weight space."""
    key_W, key_z = jax.random.split(jax.random.key(67))
    start, end = jax.random.normal(key_W, (2, 3, D0))
    z = jax.random.normal(key_z, (3,))

    def mse(W):
        return mean_squared_error(MNN((3,), RHO).apply({"params": {"W1": W, "z": z}}, X), y)

    def by_formula(W):
        A = landscape.activation_pattern(W, X, RHO)
        e = y - landscape.khatri_rao_matvec(A, X, z[:, None] * W)
        return A, -2 / N * z[:, None] * landscape.khatri_rao_rmatvec(A, X, e)

    t = np.linspace(0, 1, 1001)
    W = start + t[:, None, None] * (end - start)
    loss, autodiff = jax.jit(jax.vmap(jax.value_and_grad(mse)))(W)
    A, formula = map(np.asarray, jax.jit(jax.vmap(by_formula))(W))
    apart = float(np.abs(formula - autodiff).max())
    slope, slope_by_formula = (np.asarray((g * (end - start)).sum((1, 2))) for g in (autodiff, formula))
    pieces = np.split(np.arange(len(t)), np.flatnonzero((A[1:] != A[:-1]).any((1, 2))) + 1)

    figure = Figure(figsize=(10, 7.4))
    above, below = figure.subplots(2, 1, sharex=True)
    for panel, values in ((above, loss), (below, slope)):
        panel.grid(visible=False)
        for number, piece in enumerate(pieces):
            panel.plot(t[piece], values[piece], color=BLUE, label="" if number else "autodiff")
            panel.axvspan(*t[piece[[0, -1]]], color="#E9EEF3" if number % 2 else "white", zorder=0)
    formula_text = r"$-\frac{2}{N}\,\mathrm{diag}(z)\,[(A \circ X)\,e]$"
    below.plot(t[10::20], slope_by_formula[10::20], "o", color=RED, markersize=5, label=formula_text)
    below.legend()
    above.set(ylabel="MSE", xlim=(0, 1), title=f"a segment of weight space through {len(pieces)} regions")
    below.set(xlabel="$t$, from one random $W$ to another, with $z$ fixed", ylabel=r"$d\,\mathrm{MSE}\,/\,dt$")
    sentences = [
        "MSE by `objective.mean_squared_error` of `network.MNN`; the formula by `landscape.activation_pattern`, "
        "`khatri_rao_matvec` and `khatri_rao_rmatvec`. Each band is a region.",
        f"{len(pieces)} regions are crossed. Formula and autodiff differ by {apart:.0e} at most, in any entry.",
    ]
    return figure, sentences, {"regions": len(pieces), "apart": apart}


# %% [markdown]
# ## 3. Lemma 2: all DLMs of a region have the same residual
#
# At a DLM $(A \circ X)\, e = 0$ (3.2). So $e = y - P y$, with $P$ the projection on the column space of the
# $N \times d_0 d_1$ matrix $A \circ X$. The residual is known from $A$, $X$ and $y$, without training. If
# $\mathrm{rank}(A \circ X) = N$ it is zero, and all DLMs of the region are global minima.

# %%
ENDS = {  # name, colour, marker, size
    "global_minimum": ("global minimum", BLUE, "o", 240),
    "suboptimal_dlm": ("sub-optimal DLM", RED, "s", 130),
    "suboptimal_kink": ("sub-optimal kink", BLACK, "x", 70),
    "saddle": ("saddle", BLACK, "1", 70),
    "undecided": ("undecided", SKY, "x", 55),
    "not_converged": ("nothing proven", SKY, "+", 55),
}


@step
def lemma_2(X, y) -> Step:
    """Train from random weights, and compare each end with what its region says."""
    d1, starts, adam = 3, 200, Train(epochs=20_000, decay_epochs=10_000, decay_to=1e-12, precision="float64")
    training = make_training(PROBLEM, Network(init="gaussian"), adam, 1, D0, d1, N)

    def train(key):
        return training.run_epochs(training.init(key), key, X, y, N, 0, adam.total_epochs)[0].params

    params = jax.device_get(jax.jit(jax.vmap(train))(jax.random.split(jax.random.key(0), starts)))
    ends = [landscape.certify(W, z, X, y, RHO) for W, z in zip(params["W1"], params["z"], strict=True)]
    A = np.asarray(jax.vmap(lambda W: landscape.activation_pattern(W, X, RHO))(params["W1"]))
    foretold = np.asarray(jax.jit(jax.vmap(lambda A: landscape.region_errors(A, X, y, 0.5)[0]))(A))
    mse, verdict = np.array([end.mse for end in ends]), np.array([end.verdict for end in ends])
    is_dlm = np.isin(verdict, ("global_minimum", "suboptimal_dlm"))
    apart, regions = float(np.abs(mse - foretold)[is_dlm].max()), len(np.unique(A[is_dlm], axis=0))

    figure, panel = one_panel(8.8, 7.6, title=f"where {starts} trainings of $d_1 = {d1}$ neurons ended")
    panel.plot([0, 1], [0, 1], color=GREY, linewidth=1)
    for kind, (name, colour, marker, size) in ENDS.items():
        ended = verdict == kind
        look = {"s": size, "c": colour, "marker": marker, "label": f"{name}: {ended.sum()}"}
        panel.scatter(foretold[ended], mse[ended], zorder=3, **look)
    roots = (lambda v: np.sign(v) * np.sqrt(np.abs(v)), lambda v: v * np.abs(v))
    panel.set_xscale("function", functions=roots)
    panel.set_yscale("function", functions=roots)
    ticks = (0, 0.01, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5)
    panel.set(xlim=(-0.001, 0.56), ylim=(-0.001, 0.56), xticks=ticks, yticks=ticks, ylabel="MSE after training")
    panel.set_xlabel("known before: $|y - P y|^2 / N$ of the region")
    panel.legend(loc="upper left")
    sentences = [
        f"{starts} runs of `training.make_training` (Adam) from standard normal weights. `landscape.certify` proves "
        f"what each end is: {', '.join(f'{np.sum(verdict == kind)} {name}' for kind, (name, *_) in ENDS.items())}.",
        f"`landscape.region_errors` gives the MSE of all {is_dlm.sum()} DLMs, in {regions} regions, to {apart:.0e}. No "
        "training can end below the diagonal: |y - P y|^2 / N is the least MSE that the region's linear model has.",
    ]
    return figure, sentences, {"mse": mse.tolist(), "foretold": foretold.tolist(), "verdict": verdict.tolist()}


# %% [markdown]
# ## 4. Section 3: not every region holds a DLM
#
# A region holds one if some $\theta$ with $(A \circ X)\, \theta = P y$ fits it. Each $\theta_i$ has to be zero
# ($z_i = 0$), in its neuron's cell ($z_i > 0$), or opposite to it ($z_i < 0$). That makes $3^{d_1}$ choices, each a
# linear program.
#
# Regions of two neurons can be drawn: each is a pair of cells. On the edges between them lie local minima that are not
# differentiable.

# %%
KINDS = {
    "global": (r"a global minimum: $\mathcal{G}$", BLUE),
    "bad": (r"a sub-optimal DLM, MCE$\;>\epsilon$: $\mathcal{L}_\epsilon$", RED),
    "good": (r"a sub-optimal DLM, MCE$\;\leq\epsilon$", AMBER),
    "none": ("no DLM", "#EDEDED"),
}


def minima_on_edges(X, y, borders) -> list[tuple[float, float, str]]:
    """Local minima with w_1 on a border and w_2 inside a cell: their directions in degrees, and the verdict.

    On an edge the output is linear in |theta_1| and theta_2: least squares give its minimum, as in a region (Lemma 2),
    if that lies on the edge; landscape.certify decides whether the loss rises on both sides.
    """
    found = []
    for on_border in np.radians(borders[:-1]):
        direction = np.array([np.cos(on_border), np.sin(on_border)])
        U = X @ direction
        column = np.where(U > 1e-9, U, 0.0)[:, None]
        for middle in np.radians((borders[1:] + borders[:-1]) / 2):
            active = X @ [np.cos(middle), np.sin(middle)] > 0
            length, *theta = np.linalg.lstsq(np.hstack([column, active[:, None] * X]), y, rcond=None)[0]
            z = np.array([np.sign(length), 1.0 if ((X @ theta > 0) == active).all() else -1.0])
            W = z[:, None] * np.stack([length * direction, theta])
            verdict = landscape.certify(W, z, X, y, RHO).verdict
            if verdict in ("global_minimum", "suboptimal_kink") and ((X @ W[1] > 0) == active).all():
                at = np.degrees([on_border, np.arctan2(W[1, 1], W[1, 0])])
                found.append((*((at - borders[0]) % 360 + borders[0]).round(6).tolist(), verdict))
    return found


@step
def section_3(X, y) -> Step:
    """Decide for each region of two neurons what it holds."""
    borders, patterns = once_around(X)

    def kind_of(A) -> str:
        mse, mce = landscape.region_errors(A, X, y, 0.5)
        holds = landscape.region_holds_dlm(A, X, y, RHO)
        return "none" if not holds else "global" if mse < 1e-18 else "bad" if mce > EPS else "good"

    kinds = np.empty((2 * N, 2 * N), object)
    for i, j in itertools.combinations_with_replacement(range(2 * N), 2):
        kinds[i, j] = kinds[j, i] = kind_of(patterns[[i, j]].T)
    share = np.diff(borders) / 360
    count = {kind: int((kinds == kind).sum()) for kind in KINDS}
    on_edges = minima_on_edges(X, y, borders)
    zero = sum(verdict == "global_minimum" for *_, verdict in on_edges)
    area = {kind: float(np.outer(share, share)[kinds == kind].sum()) for kind in KINDS}

    figure, panel = one_panel(8.6, 8.6, aspect="equal", title="what the regions of $d_1 = 2$ neurons hold")
    colours = ListedColormap([colour for _, colour in KINDS.values()])
    codes = np.vectorize(list(KINDS).index)(kinds)
    panel.pcolormesh(borders, borders, codes, cmap=colours, vmin=0, vmax=3, edgecolors="white")
    panel.grid(visible=False)
    ticks = range(60, 361, 60)
    panel.set(xlabel="direction of $w_1$ (degrees)", ylabel="direction of $w_2$ (degrees)", xticks=ticks, yticks=ticks)
    keys = [Patch(color=colour, label=f"{name}: {100 * area[kind]:.1f} %") for kind, (name, colour) in KINDS.items()]
    for first, second, _ in on_edges:  # the neurons can change places
        panel.plot([first, second], [second, first], "X", color=BLACK, markeredgecolor="white", markersize=13, zorder=3)
    look = {"color": BLACK, "marker": "X", "markersize": 10, "linestyle": ""}
    keys.append(Line2D([], [], label="a local minimum at a kink", **look))
    figure.legend(handles=keys, loc="outside lower center", ncols=2, frameon=False)
    sentences = [
        "All 144 regions by `landscape.region_holds_dlm` and `region_errors`: a row and a column for each cell of "
        f"step 1. {count['none']} hold no DLM, {count['bad']} a sub-optimal one that misclassifies some point, "
        f"{count['good']} one that does not, {count['global']} a global minimum. The areas are the volumes of step 5.",
        "On the diagonal two neurons share a cell; together they make any theta, so there always is a DLM.",
        "Crosses: on 144 edges w_1 is on a border and w_2 in a cell. `landscape.certify` proves a local minimum at a "
        f"kink on {len(on_edges)} of them, a global one on {zero}. Exchanging w_1 and w_2 gives the other crosses.",
    ]
    numbers = {"count": count, "area": area, "on_edges": on_edges}
    return figure, sentences, numbers


# %% [markdown]
# ## 5. Definition 3: the angular volume of a region
#
# $V(R) = P(W \in R)$ for $W$ with independent standard normal entries. Of one region it is the product of the volumes
# of its neurons' cells. In the plane each of these is an angle over $2 \pi$.


# %%
@step
def definition_3(X, y) -> Step:
    """Compare the exact volumes of one neuron's cells with random draws."""
    _, patterns = once_around(X)
    listed, volumes = cells(X)
    exact = [float(volumes[(listed == pattern).all(1)][0]) for pattern in patterns]
    w = jax.random.normal(jax.random.key(5), (2000, D0))
    drawn = np.asarray(landscape.activation_pattern(w, X, RHO)).T
    hits = [int((drawn == pattern).all(1).sum()) for pattern in patterns]
    estimates = [proportion(k, len(w), 1 - 0.05 / len(hits)) for k in hits]
    inside = sum(e.low <= v <= e.high for e, v in zip(estimates, exact, strict=True))

    figure, panel = one_panel(ylabel="angular volume $V$", ylim=(0, 0.25))
    panel.bar(range(2 * N), exact, 0.7, color=SKY, label=r"exact: angle / $2\pi$")
    show_estimates(panel, range(2 * N), estimates, fmt="o", color=BLACK, label=f"share of {len(w)} draws of $w$")
    panel.set_xticks(range(2 * N), map(digits, patterns), rotation=45, family="monospace")
    panel.set_xlabel(r"cell, by its pattern $a(w \cdot x(1)) \ldots a(w \cdot x(6))$")
    panel.grid(axis="x", visible=False)
    panel.legend(loc="upper left", ncols=2)
    sentences = [
        "Exact by `landscape.volumes.arrangement.cells`, intervals by `landscape.volumes.intervals.proportion`. They "
        f"are so wide that all hold together at 95 %: {inside} of {len(hits)} do. Three neurons in the smallest cell "
        f"have V = {min(exact) ** 3:.1e}.",
    ]
    return figure, sentences, {"exact": exact, "hits": hits, "inside": inside}


# %% [markdown]
# ## 6. Definition 4: bad regions and good regions
#
# $L_\epsilon$ is the union of the regions that hold a sub-optimal DLM with $\mathrm{MCE} > \epsilon$. $G$ is the union
# of those that hold a global minimum, $e = 0$. By Lemma 2 the regions with $\mathrm{rank}(A \circ X) < N$ hold all
# sub-optimal DLMs.


# %%
@step
def definition_4(X, y) -> Step:
    """Measure the volumes of both unions for each width."""
    exact = [landscape.exact_volumes(X, y, d1, RHO, EPS) for d1 in (1, 2, 3, 4)]
    drawn = landscape.estimate_volumes(jax.random.key(6), X, y, 3, RHO, EPS, samples=400)
    wider = [landscape.exact_rank_deficient(X, d1, RHO) for d1 in (5, 6, 7, 8)]
    figure, panel = one_panel(
        xlabel="$d_1$, neurons", ylabel="angular volume $V$", ylim=(-0.02, 1.05), xticks=range(1, 9)
    )
    sentences = [
        f"`landscape.exact_volumes` takes all regions one by one, {exact[-1].regions} at d1 = 4; the black curve goes "
        "on by `exact_rank_deficient`. Bars: 95 % intervals of `landscape.estimate_volumes`, 400 draws of W, at d1 = 3."
    ]
    numbers = {"exact": exact, "drawn": drawn}
    for number, (name, label, colour, marker) in enumerate((
        ("rank_deficient", r"$V(\mathrm{rank}(A \circ X) < N)$", BLACK, "^"),
        ("suboptimal", r"$V(\mathcal{L}_\epsilon)$", RED, "s"),
        ("global_minima", r"$V(\mathcal{G})$", BLUE, "o"),
    )):  # fmt: skip
        volumes = [getattr(found, name) for found in exact]
        sentences.append(f"{name}, d1 = 1 to 4: {listing(volumes, '.3f')}.")
        volumes += wider if name == "rank_deficient" else []
        panel.plot(range(1, len(volumes) + 1), volumes, color=colour, marker=marker, label=label)
        show_estimates(panel, [2.94 + 0.06 * number], [getattr(drawn, name)], fmt="none", color=colour)
    panel.legend()
    return figure, sentences, numbers


# %% [markdown]
# ## 7. Theorem 6 and Definition 5: bad regions become rare
#
# $E_X V(L_\epsilon) \mathrel{\dot\le} \exp(-\gamma_\epsilon N^{3/4} (d_1 d_0)^{1/4})$, where
# $\gamma_\epsilon = 0.23\, \epsilon^{3/4}$ for ReLUs. The dotted sign compares logarithms to leading order as $N$
# grows. It is no bound at any one $N$.
#
# Corollary 7 (Markov): with probability $1 - \delta$ over $X$, $V(L_\epsilon)$ is at most $1 / \delta$ times the same.

# %%
WIDTHS, DRAWS = (1, 2, 4, 8), 250


@functools.cache
def mean_volumes(d1: int) -> landscape.Volumes:
    """E_X of the volumes: every draw of W has its own points and labels."""
    return landscape.estimate_expected_volumes(jax.random.key(7), draw_data, N, D0, d1, RHO, EPS, DRAWS, threshold=0.5)


def against_width(name: str, colour: str, ylabel: str, **scale):
    """One of the mean volumes for all widths, and a picture of it."""
    figure, panel = one_panel(xscale="log", xlabel="$d_0 d_1 / N$", ylabel=ylabel, **scale)
    measured = {d1: getattr(mean_volumes(d1), name) for d1 in WIDTHS}
    x = [D0 * d1 / N for d1 in WIDTHS]
    show_estimates(panel, x, measured.values(), fmt="o-", color=colour, label=f"mean of {DRAWS} data sets", zorder=3)
    panel.set_xticks(x, [f"{D0 * d1}/{N}" for d1 in WIDTHS])
    panel.set_xticks([], minor=True)
    return measured, figure, panel


@step
def theorem_6(X, y) -> Step:
    """Measure the mean volume of bad regions against the width."""
    measured, figure, panel = against_width("suboptimal", RED, r"$V(\mathcal{L}_\epsilon)$", ylim=(-0.02, 1))
    x = [D0 * d1 / N for d1 in WIDTHS]
    line = np.exp([theory.log_volume_suboptimal(N, D0, d1, EPS, RHO) for d1 in WIDTHS])
    panel.plot(x, line, color=BLACK, label="Theorem 6: leading order, no bound at $N = 6$", **DASHED)
    sets = [landscape.exact_volumes(*draw_data(jax.random.key(k), N), 2, RHO, EPS).suboptimal for k in range(20)]
    panel.plot([0.95 * x[1]] * len(sets), sets, ".", color=SILVER, label="20 single data sets of $d_1 = 2$, exact")
    panel.legend(loc="upper right", bbox_to_anchor=(1, 0.73))
    above = sum(volume > 2 * np.mean(sets) for volume in sets)
    sentences = [
        f"Mean of {DRAWS} data sets (`landscape.estimate_expected_volumes`), d1 = {listing(WIDTHS)}: "
        f"{listing(e.estimate for e in measured.values())}. Leading order, no bound at N = 6 "
        f"(`theory.log_volume_suboptimal`): {listing(line)}; gamma_eps is only {theory.gamma(EPS, D0 / N, RHO):.3f}.",
        f"Corollary 7, delta = 1/2: at most half of the data sets can be above twice the mean; here {above} of 20 are.",
    ]
    return figure, sentences, {"measured": measured, "sets": sets, "line": line.tolist()}


# %% [markdown]
# ## 8. Theorem 8: a global minimum can be written down
#
# For all $y \in \{0, 1\}^N$ and almost all $X$ there are $W^*$ and $z^*$ with $d_1^* = 4 \lceil N / (2 d_0 - 2) \rceil$
# units, exactly $y = f(X W^{*\top}) z^*$, and no neural input zero.


# %%
@step
def theorem_8(X, y) -> Step:
    """Construct it, and draw its output over the plane."""
    W, z = landscape.global_minimum(X, y, RHO)
    error, margin, units = landscape.construction_error(W, z, X, y, RHO)
    verdict = landscape.certify(W, z, X, y, RHO).verdict
    axis = np.linspace(-2, 2, 301)
    plane = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
    output = MNN((units,), RHO).apply({"params": {"W1": W, "z": z}}, plane).reshape(301, 301)

    figure, panel = one_panel(8.4, 6.9, title=f"the output of {units} units, bent at their lines $w_i \\cdot x = 0$")
    light = LinearSegmentedColormap.from_list("classes", ["#7FB8DC", "white", "#F0A878"])
    shown = panel.contourf(axis, axis, output, np.linspace(-0.5, 1.5, 11), cmap=light, extend="both")
    panel.contour(axis, axis, output, [0.5], colors=BLACK)
    for w in W:
        panel.axline((0, 0), (-w[1], w[0]), color=GREY, linewidth=0.8, linestyle=":")
    show_points(panel, X, y)
    figure.colorbar(shown, label=r"$f(W^* x)^\top z^*$", ticks=[-0.5, 0, 0.5, 1, 1.5])
    sentences = [
        f"`landscape.global_minimum` has {units} units, as `theory.d1_star` says: {theory.d1_star(N, D0)}. "
        f"`construction_error`: outputs are off by {error:.0e}, and |w.x| / |w||x| is at least {margin:.2g}. "
        f"`certify`: {verdict}. The black line is the output 0.5, the threshold between the classes.",
    ]
    return figure, sentences, {"W": W.tolist(), "z": z.tolist(), "verdict": verdict}


# %% [markdown]
# ## 9. Theorem 9: how much of weight space is good
#
# With probability $1 - \delta$ over $X$,
# $V(G) \mathrel{\dot\ge} \exp(-d_1^* d_0 \log N)$ $\mathrel{\dot\ge} \exp(-2 N \log N)$.
#
# The idea: of many neurons, $d_1^* = 2N / d_0$ (or a teacher's) that fall into the cells of a global minimum are
# enough.


# %%
@step
def theorem_9(X, y) -> Step:
    """Measure the mean volume of good regions against the width."""
    measured, figure, panel = against_width("global_minima", BLUE, r"$V(\mathcal{G})$", yscale="log", ylim=(1e-10, 2))
    line = np.exp(theory.log_volume_global(N, D0))
    panel.axhline(line, color=BLACK, label="Theorem 9: leading order, no bound at $N = 6$", **DASHED)
    panel.legend(loc="center")
    failed = [f"{a.name} ({a.statement})" for a in theory.assumptions(N, D0, max(WIDTHS), EPS, RHO) if a.met is False]
    sentences = [
        f"Measured as in step 7, d1 = {listing(WIDTHS)}: {listing(e.estimate for e in measured.values())}. Leading "
        f"order, no bound at N = 6 (`theory.log_volume_global`): {line:.1e}.",
        f"The theorems do not speak of N = 6: `theory.delta` is {theory.delta(N, D0):.2f}, no probability yet. At "
        f"d1 = 8 the assumptions {' and '.join(failed)} are not met (`theory.assumptions`).",
    ]
    return figure, sentences, {"measured": measured, "line": float(line), "failed": failed}


# %% [markdown]
# ## 10. Theorem 10: bad against good
#
# With probability $1 - \delta$ over $X$,
# $V(L_\epsilon) / V(G) \mathrel{\dot\le} \exp(-\gamma_\epsilon N^{3/4} (d_1 d_0)^{1/4})$.
#
# The exponent of Theorems 6 and 9 together is $-\gamma_\epsilon N^{3/4} (d_0 d_1)^{1/4} + d_1^* d_0 \log N$. Its second
# term is dropped in the limit. At one $N$ the sum is negative only for $d_0 d_1 > N (2 \log N / \gamma_\epsilon)^4$.


# %%
@step
def theorem_10(X, y) -> Step:
    """Divide the mean volume of bad regions by that of good ones."""
    name = r"$V(\mathcal{L}_\epsilon)\;/\;V(\mathcal{G})$"
    measured, figure, panel = against_width("ratio", RED, name, yscale="log", ylim=(1e-3, 1e12))
    crossing = theory.product_from_which_ratio_is_negative(N, D0, EPS, RHO)
    widths = np.geomspace(1, 4 * crossing, 200).astype(int)
    for name, log_ratio, style in (
        ("Theorems 6 and 9, both terms", theory.log_volume_ratio, DASHED),
        ("Theorem 10, its limit", theory.log_volume_suboptimal, {"linestyle": ":"}),
    ):
        line = np.exp([log_ratio(N, D0, int(d1), EPS, RHO) for d1 in widths])
        panel.plot(D0 * widths / N, line, color=BLACK, label=f"{name}: leading order, no bound", **style)
    panel.axhline(1, color=GREY, linewidth=1)
    panel.set_xticks([1, 1e2, 1e4, 1e6, 1e8], ["1", *(f"$10^{k}$" for k in (2, 4, 6, 8))])
    panel.legend(loc="upper right")
    intervals = ", ".join(f"{e.estimate:.2g} [{e.low:.2g}, {e.high:.2g}]" for e in measured.values())
    sentences = [
        f"d0 d1 / N = {listing(D0 * d1 / N for d1 in WIDTHS)}: measured, mean over mean, {intervals}.",
        "Leading order, no bound at N = 6: with both terms (`theory.log_volume_ratio`) the ratio is below 1 only from "
        f"d0 d1 = {crossing / N:.1e} N on (`theory.product_from_which_ratio_is_negative`). What happens near d0 d1 = N "
        "has to be measured; `configs/angular_volume.py` does so for larger N.",
    ]
    return figure, sentences, {"measured": measured, "crossing": crossing}


# %% [markdown]
# ## 11. Beyond the paper: minima at kinks
#
# Descents also end where some neural inputs are zero, and there the loss has a fold. Is such a point a local minimum?
# Here $r = -e$, and $B_k$ are the points at which neuron $k$ is zero. The others pull $w_k$ with the force
# $g_k = \sum_{n \notin B_k} r_n A_{nk} x^{(n)}$. The points of $B_k$ hold it by multipliers:
# $\sum_{n \in B_k} \lambda_n x^{(n)} = -g_k$.
#
# Theorem (ours; see also Wu, Simsek and Ged, [arXiv 2402.05626](https://arxiv.org/abs/2402.05626)): let $z_k \neq 0$,
# let the points of each $B_k$ be independent, and let the loss be least for all moves that keep them at zero. The
# point is a local minimum if and only if $z_k \rho r_n \le z_k \lambda_n \le z_k r_n$ for all $n$ in $B_k$.
#
# At a point $n$ the loss $\lvert r \rvert^2 / 2$ rises on both sides of its fold. Per unit of $w_k \cdot x^{(n)}$ it is
# $z_k (r_n - \lambda_n)$ on the active side, and $z_k (\lambda_n - \rho r_n)$ on the other.

# %%
OTHER_LABELS = np.array([1.0, 0, 1, 1, 0, 1])  # with these, all kinds of minima are frequent
KINDS_OF_END = {
    "global_minimum": ("global minimum", BLUE),
    "suboptimal_dlm": ("sub-optimal DLM", RED),
    "suboptimal_kink": ("sub-optimal, at kinks", BLACK),
    "zero_neuron": ("the same, with\na neuron at zero", SILVER),
}


def descents(X, y) -> list[tuple[np.ndarray, np.ndarray, str]]:
    """W, z (each 1, -1 or 0) and verdict at the ends of 200 descents from standard normal weights of three neurons."""
    starts = np.asarray(jax.random.normal(jax.random.key(8), (200, 3, D0 + 1)))
    found = [landscape.descend(start[:, :D0], start[:, D0], X, y, RHO) for start in starts]
    return [(np.abs(end.z)[:, None] * end.W, np.sign(end.z), end.certificate.verdict) for end in found]


def multipliers(W, z, X, y) -> list[tuple[int, int, float, float]]:
    """k, n, r_n and lambda_n of the pairs (neuron, point) held at zero; in the plane no w_k but zero has two points."""
    U, r = X @ W.T, np.maximum(X @ W.T, 0) @ z - y
    scale = np.linalg.norm(X, axis=1)[:, None] * np.linalg.norm(W, axis=1)
    pairs = []
    for n, k in zip(*np.nonzero((np.abs(U) < 1e-9 * scale) & z.astype(bool)), strict=True):
        g = np.where((U[:, k] > 0) & (np.arange(N) != n), r, 0) @ X
        pairs.append((int(k), int(n), float(r[n]), float(-(g @ X[n]) / (X[n] @ X[n]))))
    return pairs


def around_a_kink(plane, slices, end, X, y, k, n) -> None:
    """The loss as a function of w_k: over its plane, and on two lines through where it is zero at point n."""
    W, z = end
    w_k, others = W[k], np.maximum(X @ np.delete(W, k, 0).T, 0) @ np.delete(z, k)

    def mse(w, slopes=None):
        """At w (..., d0): with the ReLU's slopes, or these."""
        U = w @ X.T
        return np.mean((others + z[k] * U * (U > 0 if slopes is None else slopes) - y) ** 2, axis=-1)

    size = 1.6 * np.linalg.norm(w_k)
    axis = np.linspace(-size, size, 301)
    w = np.stack(np.meshgrid(axis, axis), axis=-1)
    levels = mse(w_k) + np.linspace(0, 1, 13) ** 2 * (np.quantile(mse(w), 0.7) - mse(w_k))
    light = LinearSegmentedColormap.from_list("loss", ["#0072B2", "white"])
    plane.contourf(axis, axis, mse(w), levels, cmap=light, extend="max")
    for m in range(N):
        look = {"color": RED, "linewidth": 2.5} if m == n else {"color": GREY, "linewidth": 0.8, "linestyle": ":"}
        plane.axline((0, 0), (-X[m, 1], X[m, 0]), **look)
    plane.plot(*w_k, "o", color=BLACK, markersize=10)
    plane.grid(visible=False)
    plane.set(xlim=(-size, size), ylim=(-size, size), aspect="equal", xlabel=f"$w_{{{k + 1},1}}$")
    plane.set(ylabel=f"$w_{{{k + 1},2}}$", title=f"MSE over the plane of $w_{k + 1}$; red: $w \\cdot x({n + 1}) = 0$")

    across, along = X[n] / np.linalg.norm(X[n]), w_k / np.linalg.norm(w_k)
    nearest = np.abs(X @ w_k / (X @ across))[np.arange(N) != n].min()
    t = np.linspace(-0.6 * nearest, 0.6 * nearest, 201)
    for half, active in ((t[t <= 0], True), (t[t >= 0], False)):
        slopes = np.where(np.arange(N) == n, active, X @ w_k > 0)
        label = "each side's formula, continued" if active else ""
        slices.plot(half, mse(w_k + half[:, None] * across, slopes), color=RED, linestyle=":", label=label)
    slices.plot(t, mse(w_k + t[:, None] * across), color=RED, label="across the fold")
    slices.plot(t, mse(w_k + t[:, None] * along), color=BLUE, label="along it")
    slices.plot(0, mse(w_k), "o", color=BLACK, markersize=10)
    slices.set(xlabel=f"distance from the minimum in $w_{k + 1}$", ylabel="MSE", title="two lines through the minimum")
    slices.locator_params(nbins=5)
    slices.legend(loc="upper center")


@step
def kinks(X, y) -> Step:
    """Go down from 200 random points, and look at the loss around one minimum at a kink."""
    labels, y = y, OTHER_LABELS
    ends = descents(X, y)
    kinds = ["zero_neuron" if kind == "suboptimal_kink" and not W.any(axis=1).all() else kind for W, _, kind in ends]
    count = {kind: kinds.count(kind) for kind in KINDS_OF_END}
    pairs = [(i, *pair) for i, (W, z, kind) in enumerate(ends) if kind == "suboptimal_kink"
             for pair in multipliers(W, z, X, y)]  # fmt: skip
    chosen, k, n, r, multiplier = max(
        pairs, key=lambda pair: min(abs(pair[4]), abs(pair[3] - pair[4])) * np.linalg.norm(ends[pair[0]][0][pair[1]])
    )
    figure = Figure(figsize=(13, 11), layout="compressed")
    (bars, wedge), (plane, slices) = figure.subplots(2, 2)
    names, colours = zip(*KINDS_OF_END.values(), strict=True)
    bars.bar_label(bars.barh(names, count.values(), color=colours), padding=4)
    bars.invert_yaxis()
    bars.grid(axis="y", visible=False)
    bars.set(title="where 200 descents of $d_1 = 3$ neurons end", xlim=(0, 1.15 * max(count.values())))

    _, _, _, all_r, all_multipliers = np.array(pairs).T
    ray = 1.1 * np.array([all_r.min(), 0, all_r.max()])
    wedge.fill_between(ray, RHO * ray, ray, color="#DCEAF4", label=r"between $\rho\, r_n$ and $r_n$")
    wedge.plot(all_r, all_multipliers, "o", color=BLACK, label="a held pair $(k, n)$")
    wedge.plot(r, multiplier, "o", markersize=18, markerfacecolor="none", color=RED, label="drawn below")
    wedge.set(xlabel="$r_n$", ylabel=r"$\lambda_n$", title="the multipliers of all minima at kinks")
    wedge.legend(loc="upper left")

    around_a_kink(plane, slices, ends[chosen][:2], X, y, k, n)
    before = [(W, z) for W, z, kind in descents(X, labels) if kind == "suboptimal_kink"]
    largest = max(abs(r_n) for W, z in before for *_, r_n, _ in multipliers(W, z, X, labels))
    sentences = [
        "`landscape.descend` goes down from 200 random points, and `landscape.certify` proves what each end is: "
        f"{count['global_minimum']} global minima, {count['suboptimal_dlm']} sub-optimal DLMs, and "
        f"{count['suboptimal_kink'] + count['zero_neuron']} sub-optimal minima at kinks "
        f"({count['zero_neuron']} with a neuron at zero).",
        f"The one that is drawn: neuron {k + 1} is zero at point {n + 1}, r = {r:.4f} and lambda = {multiplier:.4f}. "
        "On each side of the fold the loss would fall across it, by the formula that holds on that side only.",
        "The labels are chosen so that all kinds are frequent: points 1, 3, 4 and 6 have y = 1. With the labels of "
        f"step 1, {len(before)} of 200 end at sub-optimal kinks. Their |r_n| are at most {largest:.0e}: no fold.",
        "`configs/kinks.py` counts the kinks of larger problems, where training and descent end.",
    ]
    numbers = {"y": y.tolist(), "count": count, "pairs": pairs, "drawn": [chosen, k, n], "before": len(before)}
    numbers["ends"] = [{"W": W.tolist(), "z": z.tolist(), "verdict": kind} for W, z, kind in ends]
    return figure, sentences, numbers


# %% [markdown]
# ## The page
#
# What follows is for `python configs/tour.py`: it takes all steps and writes them on a page.

# %%
PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>A tour of the paper</title>
<style>
{{ css }}
figure img { max-width: 800px; }
@media (min-width: 600px) { math { font-size: 1.08em; } }
.whole { white-space: nowrap; }
pre { overflow: auto; max-height: 26rem; background: var(--faint); padding: .8rem 1rem; border-radius: 4px;
  font-size: .8rem; line-height: 1.45; }
p code { overflow-wrap: anywhere; }
{{ colours }}
@media screen and (prefers-color-scheme: dark) {
{{ dark_colours }}
}
@page { size: A4 portrait; margin: 14mm; }
@media print {
  pre { max-height: none; white-space: pre-wrap; }
  figure { break-inside: auto; }
  figure img { break-inside: avoid; max-height: 115mm; }
}
</style>
</head>
<body>
{{ introduction }}
{% for step in steps %}
<section id="{{ step.name }}">
{{ step.says }}
<figure>
<img src="{{ step.picture }}" alt="{{ step.title }}">
<figcaption>{{ step.sentences }}</figcaption>
</figure>
<details open>
<summary>The code of this step</summary>
<pre>{{ step.code }}</pre>
</details>
</section>
{% endfor %}
</body>
</html>
"""


def percent_cells(source: str) -> list[tuple[str, str]]:
    """Kind, "markdown" or "code", and text of each cell of a file in the percent format."""
    cells = []
    for cell in re.split(r"^# %%", source, flags=re.MULTILINE)[1:]:
        head, _, body = cell.partition("\n")
        kind = "markdown" if "[markdown]" in head else "code"
        body = re.sub(r"^# ?", "", body, flags=re.MULTILINE) if kind == "markdown" else body
        cells.append((kind, body.strip()))
    return cells


def as_html(markdown: str, formulas: dict[str, str]) -> str:
    """The little Markdown that is used here, without badges; formulas: MathML by formula."""
    paragraphs = []
    for text in re.sub(r"^\[!.*", "", markdown, flags=re.MULTILINE).strip().split("\n\n"):
        # What is between dollars is no Markdown, and keeps its brackets and commas.
        parts = re.split(r"(\(?\$[^$]+\$[),.;:]*)", " ".join(text.splitlines()))
        for i, part in enumerate(parts):
            if i % 2:
                before, formula, after = part.split("$")
                parts[i] = f'<span class="whole">{before}{formulas[formula]}{after}</span>'
                continue
            part = re.sub(r"\[([^\]]+)\]\((\S+?)\)", r'<a href="\2">\1</a>', html.escape(part))
            parts[i] = re.sub(r"`([^`]+)`", r"<code>\1</code>", part)
        line = "".join(parts)
        level = len(line) - len(line.lstrip("#"))
        paragraphs.append(f"<h{level}>{line[level:].strip()}</h{level}>" if level else f"<p>{line}</p>")
    return "\n".join(paragraphs)


def code_colours(style: str) -> str:
    """Of code in a style of Pygments, on the page's own background."""
    return re.sub(r"^pre \{ background.*\n", "", HtmlFormatter(style=style).get_style_defs("pre"), flags=re.MULTILINE)


def write_page(output: Path, introduction: str, steps: list[dict]) -> None:
    """index.html in the report's style; all browsers have shown MathML since 2023."""
    # From a table, so that no converter is needed to run the tour.
    formulas = json.loads((Path(__file__).parent / "results/tour/formulas.json").read_text())
    for step in steps:
        step["says"] = as_html(step["says"], formulas)
        step["sentences"] = as_html("\n\n".join(step["sentences"]), formulas)
        step["code"] = highlight(step["code"], PythonLexer(), HtmlFormatter(nowrap=True))
    page = jinja2.Template(PAGE).render(
        introduction=as_html(introduction, formulas),
        steps=steps,
        css=(importlib.resources.files("mnnjax.report") / "page.css").read_text(),
        colours=code_colours("default"),
        dark_colours=code_colours("github-dark"),
    )
    (output / "index.html").write_text(page + "\n")


def main(arguments: list[str] | None = None) -> int:
    """Take all steps, print their sentences and write their pictures; 2 where the folder cannot be written to."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--output", type=Path, default=Path("runs/tour"), metavar="DIR", help="where the pictures go")
    output = parser.parse_args(arguments).output
    try:
        output.mkdir(parents=True, exist_ok=True)
        (output / "index.html").write_text("")
    except OSError as error:
        print(f"--output: {output}: {error.strerror}; give a folder that can be written to", file=sys.stderr)
        return 2
    X, y = data()
    numbers, steps = {"X": X.tolist(), "y": y.tolist()}, []
    cells = percent_cells(Path(__file__).read_text())
    texts = [(text, code) for (_, text), (_, code) in itertools.pairwise(cells) if "@step\n" in code]
    for number, ((name, function), (says, code)) in enumerate(zip(STEPS.items(), texts, strict=True), start=1):
        path = output / f"{number:02}_{name}.png"
        png, sentences, numbers[name] = take(function)
        path.write_bytes(png)
        title = says.partition("\n")[0].removeprefix("## ")
        print(f"\n{title}\n", *(textwrap.fill(f"> {text}", 118) for text in sentences), path, sep="\n")
        steps.append({
            "name": name, "title": title, "says": says, "picture": path.name, "sentences": sentences, "code": code
        })  # fmt: skip
    write_page(output, cells[0][1], steps)
    (output / "numbers.json").write_text(json.dumps(numbers, indent=1, default=vars) + "\n")
    print(f"\nTo read it in order, with the paper's formulas: {output / 'index.html'}")
    return 0


if __name__ == "__main__" and not IN_NOTEBOOK:
    sys.exit(main())
