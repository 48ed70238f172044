"""The paper's theorem: angular volumes of the regions with bad minima, and with global minima, as N grows.

Command:    mnnjax run configs/angular_volume.py [--small]
Reproduces: Theorems 6, 9 and 10, which the paper proves and does not measure: log V(L_eps), log V(G) and their ratio
            against N, with eps = 0.1. The scalings are those of Assumptions 3 and 4: d0 = N / 2 or d0 = sqrt(N) log N,
            and d1 = k N / d0 with k = 1, 2, 4 (rounded up). Exponents are fitted against N^(3/4) (d0 d1)^(1/4).
            V(L_eps) is measured by splitting, V(G) by up to 4096 draws. The *_large studies measure only the candidates
            for bad minima, at N where a linear program takes seconds.
Expect:     With d0 = N / 2: at d0 d1 = 4 N, mean V(L_eps) falls from 1.3e-2 (N = 8) to 6.5e-5 (N = 24) and its ratio to
            V(G) from 1.4e-2 to 7.7e-5. The exponents are 0.216 (95 %: 0.165 to 0.268) and 0.210 (0.159 to 0.261);
            gamma_eps is 0.041. Candidates fall to 2.0e-12 at N = 96 (two data sets: 0 to 2.0e-11), exponent 0.178
            (0.160 to 0.197). At d0 d1 = 2 N V(L_eps) falls as fast, but V(G) falls too, from 0.22 to 2.0e-3: the ratio
            is 0.2 to 0.6, exponent -0.017 (-0.086 to 0.051). At d0 d1 = N, V(G) has no hit from N = 16 on, and 0.45 to
            0.80 of all regions are candidates. With d0 = sqrt(N) log N the exponent of the ratio is 0.103 (0.038 to
            0.167) at 4 N, and -0.09 (-0.23 to 0.06) at 2 N. With rho = 0.1 V(L_eps) falls faster: 0.76 (0.67 to 0.86)
            at 4 N. Curves have steps where eps N passes a whole number. (results/angular_volume)
Time:       22 minutes on two cores of an AMD EPYC that also ran tests. --small: 10 seconds.
"""

import dataclasses

from mnnjax.config import Network, Problem, Study, Volume

BOTH = Volume(
    method="splitting",
    eps=0.1,
    samples=4096,
    batch=64,
    relative_width=0.3,
    particles=2000,
    runs=10,
    max_linear_programs=10,
)
CANDIDATES = dataclasses.replace(BOTH, samples=64, global_samples=0, relative_width=None, max_linear_programs=0)
FEW = dataclasses.replace(BOTH, samples=64, particles=100, runs=4, relative_width=None)
SMALL, LARGE = (8, 12, 16, 24), (32, 48, 64, 96)


def scaling(
    name: str, N: tuple[int, ...], ratios: tuple[float, ...], rho: float, volume: Volume, repeats: int
) -> Study:
    """V against N with d0 = sqrt(N) log N if the name begins with root, else with d0 = N / 2."""
    width = {"d0_over_sqrt_N_log_N": 1.0} if name.startswith("root") else {"d0_over_N": 0.5}
    return Study(
        name=name, problem=Problem(label_values="zero_one", N=N, **width),
        network=Network(d0_d1_over_N=ratios, rho=rho), volume=volume, repeats=repeats, figure="volumes",
    )  # fmt: skip


study = dataclasses.replace(
    scaling("linear", SMALL, (1.0, 2.0, 4.0), 0.0, BOTH, 3),
    also=(
        scaling("root", SMALL, (1.0, 2.0, 4.0), 0.0, BOTH, 3),
        scaling("linear_leaky", SMALL, (1.0, 2.0, 4.0), 0.1, BOTH, 3),
        scaling("linear_large", LARGE, (1.0, 2.0, 4.0), 0.0, CANDIDATES, 2),
        scaling("root_large", LARGE, (1.0, 2.0, 4.0), 0.0, CANDIDATES, 2),
    ),
)
small = dataclasses.replace(
    scaling("linear", (6,), (2.0,), 0.0, FEW, 1),
    also=(
        scaling("root_large", (8,), (2.0,), 0.1, dataclasses.replace(FEW, global_samples=0, max_linear_programs=0), 1),
    ),
)
