"""Heat maps: the probability that a random region has full rank, and that it holds a global minimum, over N and d1.

Command:    mnnjax run configs/full_rank.py [--small]
Reproduces: the heat maps of Karhadkar et al. (arXiv 2305.19510), P(rank(A o X) = N) for a random W, at d0 = 1, 10 and
            N / 2. The uniform studies follow that paper: inputs uniform on [0, 1]^d0, biases (a constant input
            1), a fixed second layer. The gaussian studies follow Soudry & Hoffer: Gaussian inputs, no biases. Without
            biases, d0 = 1 has only two patterns and rank at most 2; d0 = 2, with as many columns per neuron, replaces
            it. X, y and W are redrawn 1000 times per cell.
            The *_minima studies: the probability that the region of a random W holds a global minimum for a second
            layer with random signs, with one linear program per draw and 50 draws per cell, at smaller sizes.
            The study square: both, at the shapes that configs/capacity.py trains, d0 = d1 = 10, 15, 20.
Expect:     d0 = N / 2, Gaussian: P(rank = N) is about 0 at d0 d1 = N, passes 0.95 at 4 N (N = 10), 5 N (30), 5.5 N (90)
            and 6 N (190), and is at least 0.99 at d1 = 15; uniform: passes 0.95 at 6.5, 5.5, 5 and 5.5 N. d0 = 10:
            Gaussian, 0.994 or more at d1 = 15 up to N = 150, with just enough columns; uniform, 0.97, 0.83, 0.46,
            0.08 at N = 30, 50, 90, 130: few hyperplanes with standard normal weights cut the cube. d0 = 1 (uniform), d1
            = 300: 0.89, 0.47, 0.13, 0.007 at N = 10, 20, 30, 40 and 0 from N = 50 on; d0 = 2 (Gaussian): 1, 0.93, 0.72,
            0.04 at N = 10, 30, 50, 100. With fewer columns than N it is exactly 0. A region holds a global minimum less
            often: d0 = N / 2, d1 = 15, N = 50: 0.82 of 50 draws (uniform), 0.56 (Gaussian). square: rank N in 0.94 (d =
            10), 0.995 (15) and 1 (20) at d^2 = 1.1 N, and a global minimum in none of 200 regions up to d^2 = 2 N.
            (results/full_rank)
Time:       25 minutes on two cores of an AMD EPYC that also did other work; 8 without square. --small: 10 seconds.
"""

import dataclasses

from mnnjax.config import Network, Problem, Study, Volume

RANK = Volume(samples=1000, batch=512, redraw=True, suboptimal_samples=0, global_samples=0)
MINIMA = Volume(samples=50, batch=64, redraw=True, suboptimal_samples=0, output_signs="random")
FEW = dataclasses.replace(RANK, samples=32, batch=32)
FEW_MINIMA = dataclasses.replace(MINIMA, samples=8, batch=16)

NARROW = {"N": tuple(range(10, 191, 20)), "d1": tuple(range(1, 16))}
WIDE = {"N": tuple(range(10, 101, 10)), "d1": tuple(range(30, 301, 30))}
NARROW_MINIMA = {"N": (10, 20, 30, 40, 50), "d1": (1, 2, 3, 4, 5, 6, 8, 10, 12, 15)}
WIDE_MINIMA = {"N": (10, 20, 30, 40, 50), "d1": (10, 20, 30, 45, 60, 90)}
NARROW_SMALL = {"N": (10, 20), "d1": (1, 2, 4)}
WIDE_SMALL = {"N": (5, 10), "d1": (10, 30)}


def heat_map(name: str, volume: Volume, grid: dict, later: bool, **width) -> Study:
    """One heat map; later: as in Karhadkar et al., else as in Soudry & Hoffer. width: d0, or how it grows with N."""
    own = {"inputs": "uniform", "constant_input": True} if later else {"inputs": "gaussian"}
    return Study(
        name=name, problem=Problem(label_values="zero_one", N=grid["N"], **own, **width),
        network=Network(d1=grid["d1"]), volume=volume, repeats=1, figure="full_rank",
    )  # fmt: skip


def heat_maps(volume: Volume, narrow: dict, wide: dict, ending: str = "") -> list[Study]:
    return [
        heat_map(f"uniform_d0_1{ending}", volume, wide, True, d0=(1,)),
        heat_map(f"uniform_d0_10{ending}", volume, narrow, True, d0=(10,)),
        heat_map(f"uniform_d0_half_N{ending}", volume, narrow, True, d0_over_N=0.5),
        heat_map(f"gaussian_d0_2{ending}", volume, wide, False, d0=(2,)),
        heat_map(f"gaussian_d0_10{ending}", volume, narrow, False, d0=(10,)),
        heat_map(f"gaussian_d0_half_N{ending}", volume, narrow, False, d0_over_N=0.5),
    ]


def together(first: Study, *others: Study) -> Study:
    """The first study with the others in its work folder."""
    return dataclasses.replace(first, also=others)


def square(volume: Volume, widths: tuple[int, ...], ratios: tuple[float, ...]) -> Study:
    """Both probabilities at the shapes that configs/capacity.py trains: d0 = d1 = d, d^2/N as given."""
    return Study(
        name="square", problem=Problem(d0=widths, d0_d1_over_N=ratios), volume=volume, repeats=1, figure="volumes"
    )


study = together(
    *heat_maps(RANK, NARROW, WIDE),
    *heat_maps(MINIMA, NARROW_MINIMA, WIDE_MINIMA, "_minima"),
    square(dataclasses.replace(MINIMA, samples=1000, global_samples=200), (10, 15, 20), (1.1, 1.5, 2.0, 3.0, 4.0)),
)
small = together(
    heat_map("uniform_d0_1", FEW, WIDE_SMALL, True, d0=(1,)),
    heat_map("gaussian_d0_half_N", FEW, NARROW_SMALL, False, d0_over_N=0.5),
    heat_map("gaussian_d0_half_N_minima", FEW_MINIMA, NARROW_SMALL | {"N": (10,)}, False, d0_over_N=0.5),
    square(FEW_MINIMA, (5,), (2.0,)),
)
