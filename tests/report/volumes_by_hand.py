"""Studies of volumes, and results of theirs made by hand."""

import math

from mnnjax.config import Network, Problem, Study, Train, Volume
from mnnjax.report.common.rows import read_rows
from tests.report.by_hand import common_columns, make_row, make_workdir

SIZES = (8, 12, 16, 20)
VOLUMES = (0.05, 0.15, 0.25, 0.35, 0.45, 0.55)
LINEAR = Study(
    "linear",
    Problem(label_values="zero_one", N=SIZES, d0_over_N=0.5),
    Network(d0_d1_over_N=(1.0, 2.0)),
    volume=Volume(method="splitting", eps=0.1),
    repeats=2,
    figure="volumes",
)
RANKS = Study(
    "ranks",
    Problem(label_values="zero_one", d0=(4,), N=(10, 20)),
    Network(d1=(2, 5, 40)),
    volume=Volume(redraw=True, output_signs="random"),
    repeats=1,
    figure="full_rank",
)
POINTS = Problem(label_values="zero_one", d0=(2,), N=(4,), data_sets=6)
BASINS = Study(
    "basins",
    POINTS,
    Network(d1=(2,), init="gaussian"),
    Train(precision="float64"),
    repeats=60,
    figure="basins",
    also=(Study("exact", POINTS, Network(d1=(2,)), volume=Volume(method="exact"), repeats=6),),
)


def volume_row(part, d0, d1, N, seed=0, **measured):
    """A row of a volume study; a measure is (estimate, low, high) or (estimate, low, high, hits, draws)."""
    row = common_columns(part.name, 1, d0, d1, N, seed) | {
        "rho": part.network.rho, "bias": part.problem.constant_input, "method": part.volume.method,
        "eps": part.volume.eps,
    }  # fmt: skip
    for quantity, values in measured.items():
        ends = ("", "_low", "_high", "_hits", "_draws")
        row |= {quantity + end: value for end, value in zip(ends, values, strict=False)}
    return row


def run_row(part, d1, N, seed, data_seed, verdict):
    """A row of a training study with d0 = 2."""
    return make_row(part.name, d1, N, seed, mse=0.1, u=0.1, verdict=verdict, d0=2, data_seed=data_seed)


def exactly(value):
    return (value, value, value)


def parsed(path, study, rows):
    return read_rows(make_workdir(path, study, rows) / "results.csv")


def linear_shapes(k):
    """(d0, d1, N) with d0 = N / 2 and d0 d1 = k N."""
    return [(N // 2, math.ceil(k * N / (N // 2)), N) for N in SIZES]


def linear_rows(exponent, ks=(1.0, 2.0), part=LINEAR, noise=0.0):
    """V(L_eps) = 0.5 exp(-exponent N^(3/4) (d0 d1)^(1/4)), up to a factor that tells data sets apart."""
    rows = []
    for k in ks:
        for d0, d1, N in linear_shapes(k):
            for seed in range(part.repeats):
                wobble = 1 + (0.1 + noise) * (2 * seed - 1) * (-1) ** (N // 4)
                V = 0.5 * math.exp(-exponent * N**0.75 * (d0 * d1) ** 0.25) * wobble
                rows.append(volume_row(part, d0, d1, N, seed, suboptimal=(V, V / 2, 2 * V)))
    return rows


def rank_row(part, d1, N, hits, draws=1000, d0=4, global_minima=None):
    """`hits` draws of rank N."""
    P = hits / draws
    half = 2 * math.sqrt(P * (1 - P) / draws) + 3 / draws
    deficient = (1 - P, max(0.0, 1 - P - half), min(1.0, 1 - P + half), draws - hits, draws)
    more = {"global_minima": (*exactly(global_minima), 5, 10)} if global_minima is not None else {}
    return volume_row(part, d0, d1, N, rank_deficient=deficient, **more)


def rank_rows(**hits):
    wanted = {"d2N10": 0, "d2N20": 0, "d5N10": 400, "d5N20": 10, "d40N10": 1000, "d40N20": 1000} | hits
    return [
        rank_row(RANKS, int(d1), int(N), count, global_minima=count / 2000)
        for name, count in wanted.items()
        for d1, N in [name[1:].split("N")]
    ]


def basin_rows(frequency, volumes, runs=10, part=BASINS, unresolved=0):
    """Exact volumes of data sets, and runs of which a share ends in a sub-optimal minimum."""
    rows = []
    for seed, V in enumerate(volumes):
        measured = {"suboptimal": exactly(V), "global_minima": exactly(1 - V), "rank_deficient": exactly(1.0)}
        rows.append(volume_row(part.also[0], 2, 2, 4, seed, **measured))
        bad = round(frequency(V) * runs)
        ends = ["suboptimal_dlm"] * bad + ["not_converged"] * unresolved
        ends += ["global_minimum"] * (runs - len(ends))
        rows += [run_row(part, 2, 4, seed + 6 * k, seed, verdict) for k, verdict in enumerate(ends)]
    return rows


def drawn(panel, gid):
    """All (x, y) of the panel's marks of one kind."""
    return [tuple(xy) for line in panel.lines if line.get_gid() == gid for xy in line.get_xydata()]
