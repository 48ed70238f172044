"""The plan against brute force over all cuts, exact fractions and the sizes of real parameters."""

import fractions
import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mnnjax.config import Network, Problem, Study, Train, UserError, Volume
from mnnjax.network import MNN
from mnnjax.study.plan.grid import MAX_PADDING, cells, check


def study(name="s", network=None, **problem):
    return Study(name, Problem(**{"d0": (5,), **problem}), network or Network())


def padded_sizes(sizes):
    return {cell.N: cell.N_padded for cell in cells(study(N=tuple(sizes)))}


def test_cells_are_the_grid_in_order():
    planned = cells(study(d0=(5, 6), N=(30, 10), network=Network(d1=(4, 7), hidden_layers=(2, 1))))
    expected = itertools.product((2, 1), (5, 6), (4, 7), (30, 10))
    assert [(c.hidden_layers, c.d0, c.d1, c.N) for c in planned] == list(expected)


def test_width_is_that_of_the_input_where_none_is_given():
    assert [(c.d0, c.d1) for c in cells(study(d0=(5, 9), N=(3,)))] == [(5, 5), (9, 9)]


def test_studies_in_also_follow():
    planned = cells(Study("a", Problem(d0=(5,), N=(9,)), also=(study("b", N=(4, 3)), study("c", N=(7,)))))
    assert [(c.part.name, c.N) for c in planned] == [("a", 9), ("b", 4), ("b", 3), ("c", 7)]


def test_widths_grow_with_the_points():
    """d0 = c N or c sqrt(N) log N, d1 = k N / d0 (Assumptions 3 and 4), rounded up."""
    network = Network(d0_d1_over_N=(1.0, 2.5))
    for N in (7, 8, 50, 144):
        linear, root = (
            cells(study(d0=(), N=(N,), network=network, **{rule: value}))
            for rule, value in (("d0_over_N", 0.5), ("d0_over_sqrt_N_log_N", 1.5))
        )
        assert {c.d0 for c in linear} == {-(-N // 2)}
        assert {c.d0 for c in root} == {math.ceil(1.5 * math.sqrt(N) * math.log(N))}
        for cell, k in (*zip(linear, (1, 2.5), strict=True), *zip(root, (1, 2.5), strict=True)):
            assert cell.d1 == math.ceil(fractions.Fraction(k) * N / cell.d0)
    both = cells(study(d0=(), N=(8, 20), network=network, d0_over_N=0.5))
    assert [(c.N, c.d0, c.d1) for c in both] == [(8, 4, 2), (8, 4, 5), (20, 10, 2), (20, 10, 5)]


def test_data_sets_are_dealt_in_turn():
    (cell,) = cells(Study("s", Problem(d0=(5,), N=(9,), data_sets=2), repeats=5, seed=7))
    assert cell.seeds == [7, 8, 9, 10, 11]
    assert cell.data_seeds == [7, 8, 7, 8, 7]
    (cell,) = cells(Study("s", Problem(d0=(5,), N=(9,)), repeats=3))
    assert cell.data_seeds == cell.seeds


def test_steps_of_volumes_are_batches_runs_and_repetitions():
    def steps(**volume):
        (cell,) = cells(Study("s", Problem(d0=(3,), N=(5,)), volume=Volume(**volume), repeats=3))
        return cell.steps

    assert steps(samples=100, batch=32) == 4
    assert steps(method="splitting", samples=100, batch=32, runs=5) == 4 + 2 * 5 * 3
    assert steps(method="exact") == 3


def test_global_minima_of_too_many_sets_are_refused_before_anything_runs():
    volume = Volume(method="exact", global_minimum=True)
    with pytest.raises(UserError, match=r"d1: 7 neurons .* d1 up to 6 is feasible for N = 8"):
        check(Study("s", Problem(d0=(2,), N=(6, 8)), Network(d1=(6, 7)), volume=volume))
    assert check(Study("s", Problem(d0=(2,), N=(6, 8)), Network(d1=(6,)), volume=volume))


@pytest.mark.parametrize("ratio", ["5", "0.1", "2.5", "0.3", "1", "7"])
def test_points_are_the_floor_of_weights_over_the_ratio(ratio):
    for cell in cells(study(d0=(5, 7, 10, 33, 100), d0_d1_over_N=(float(ratio),))):
        assert math.floor(cell.d0 * cell.d1 / fractions.Fraction(ratio)) == cell.N


def test_ratios_computed_from_a_number_of_points_give_that_number():
    rng = np.random.default_rng(0)
    for d0, d1, N in rng.integers(2, (200, 200, 10**6), (300, 3)).tolist():
        (cell,) = cells(study(d0=(d0,), d0_d1_over_N=(d0 * d1 / N,), network=Network(d1=(d1,))))
        assert cell.N == N


def random_grids(count, longest, largest=3000):
    rng = np.random.default_rng(1)
    for _ in range(count):
        yield sorted({int(n) for n in np.exp(rng.uniform(0, np.log(largest), rng.integers(1, longest + 1)))})


def test_padding_is_below_a_quarter_of_the_rows_of_a_width():
    for sizes in random_grids(60, 30):
        padded = padded_sizes(sizes)
        assert list(padded) == sizes
        assert all(rows >= N for N, rows in padded.items())
        assert set(padded.values()) <= set(sizes)
        assert sum(padded.values()) - sum(sizes) < MAX_PADDING * sum(padded.values())
        # Larger problems never get fewer rows.
        assert list(padded.values()) == sorted(padded.values())
    assert MAX_PADDING == 0.25


def test_programs_are_the_fewest_that_padding_allows():
    for sizes in random_grids(40, 9):
        feasible = []
        for cut in itertools.product((False, True), repeat=len(sizes) - 1):
            ends = [i for i, end in enumerate((*cut, True)) if end]
            rows = [next(sizes[end] for end in ends if end >= i) for i in range(len(sizes))]
            if sum(rows) - sum(sizes) < MAX_PADDING * sum(rows):
                feasible.append((len(ends), sum(rows)))
        padded = padded_sizes(sizes)
        assert (len(set(padded.values())), sum(padded.values())) == min(feasible)


def test_a_figure_needs_a_handful_of_programs():
    ratios = tuple(np.geomspace(0.25, 4, 17))
    planned = cells(study(d0=(10, 20, 50), d0_d1_over_N=ratios))
    shapes = {cell.shape for cell in planned}
    # Sizes over a range of 16: runs of ratio 16^(1/k) have average padding below a quarter from about k = 4.
    assert len(planned) == 51
    assert len(shapes) <= 3 * 5
    for cell in planned:
        same = [other for other in planned if other.shape == cell.shape]
        assert {(o.hidden_layers, o.d0, o.d1, o.N_padded) for o in same} == {(1, cell.d0, cell.d1, cell.N_padded)}


def test_networks_are_compared_on_the_same_data_and_sizes_are_not():
    planned = cells(study(d0=(5, 6), N=(30, 10), network=Network(d1=(4, 7), hidden_layers=(1, 2))))
    salts = {}
    for cell in planned:
        salts.setdefault((cell.d0, cell.N), set()).add(cell.data_salt)
    assert all(len(values) == 1 for values in salts.values())
    assert len(set.union(*salts.values())) == len(salts) == 4
    # Each cell has its own initial weights, and no cell draws data and weights from the same numbers.
    assert len({cell.training_salt for cell in planned}) == len(planned)
    assert not {cell.training_salt for cell in planned} & {cell.data_salt for cell in planned}
    # What jax.random.fold_in takes.
    assert all(0 <= salt < 2**32 for cell in planned for salt in (cell.data_salt, cell.training_salt))


def test_seeds_count_from_the_studys():
    (cell,) = cells(Study("s", Problem(d0=(5,), N=(9,)), repeats=3, seed=100))
    assert cell.seeds == [100, 101, 102]


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("hidden_layers", [1, 2, 3])
def test_parameters_are_those_of_the_network(hidden_layers, bias):
    network = Network(d1=(7,), hidden_layers=hidden_layers, bias=bias)
    (cell,) = cells(study(d0=(5,), N=(9,), network=network))
    module = MNN((7,) * hidden_layers, bias=bias)
    params = jax.eval_shape(module.init, jax.random.key(0), jnp.zeros((1, 5)))["params"]
    assert cell.parameters == sum(math.prod(leaf.shape) for leaf in params.values())


@pytest.mark.parametrize(("layers", "bias", "sizes"), [(1, False, (6, 5)), (1, True, (7, 5)), (3, True, (6, 5))])
def test_certificates_are_of_the_last_hidden_layer(layers, bias, sizes):
    """Its inputs, a constant for its bias among them, and its units."""
    (cell,) = cells(study(d0=(6,), N=(12,), network=Network(d1=(5,), hidden_layers=(layers,), bias=bias)))
    assert cell.last_layer == sizes


def test_ids_are_unique_and_fit_for_a_file_name():
    grid = {"d0": (5, 51), "N": (11, 1, 111)}
    network = Network(d1=(1, 11, 15), hidden_layers=(1, 2, 11))
    planned = cells(Study("a", Problem(**grid), network, also=(study("a-1", network=network, **grid),)))
    assert len({cell.id for cell in planned}) == len(planned) == 2 * 2 * 3 * 3 * 3
    assert all(c.isalnum() or c in "._-" for cell in planned for c in cell.id)


def test_work_and_memory_grow_with_rows_and_repeats():
    def cell(N, repeats=2, precision="float32"):
        (result,) = cells(Study("s", Problem(d0=(5,), N=(N,)), train=Train(precision=precision), repeats=repeats))
        return result

    assert cell(20).work == 2 * cell(10).work
    assert cell(10, repeats=6).work == 3 * cell(10).work
    assert cell(10, repeats=6).bytes_needed == 3 * cell(10).bytes_needed
    assert cell(10, precision="float64").bytes_needed == 2 * cell(10).bytes_needed
    # At least the data, for each repetition.
    assert cell(10**6).bytes_needed > 2 * 4 * 10**6 * 6


def test_images_say_their_number_and_width():
    network = Network(d1=(3,))
    (cell,) = cells(Study("a", Problem("digits", "classes"), network))
    assert (cell.d0, cell.d1, cell.N, cell.N_padded) == (61, 3, 1797, 1797)
    assert [c.N for c in cells(Study("a", Problem("digits", "classes", N=(100, 1797)), network))] == [100, 1797]


@pytest.mark.parametrize(
    ("make", "field"),
    [
        (lambda: study(d0_d1_over_N=(1.0, 26.0)), "problem.d0_d1_over_N: 26.0"),
        (lambda: study(d0_d1_over_N=(2.0, 2.01)), "problem.d0_d1_over_N"),
        (lambda: Study("a", Problem("digits", "classes", N=(10, 1798)), Network(d1=(3,))), "problem.N: 1798"),
        (lambda: study(d0=(), N=(2, 8), d0_over_N=0.5), "problem.d0: it would be 1 at N = 2"),
        (lambda: study(N=(8,), network=Network(d0_d1_over_N=(1.0, 1.1))), "network.d0_d1_over_N"),
        (lambda: study(d0_d1_over_N=(1.0,), network=Network(d0_d1_over_N=(1.0,))), "problem.d0_d1_over_N"),
    ],
    ids=["no_points", "same_points_twice", "more_than_the_images", "no_width", "same_width_twice", "circle"],
)
def test_grids_that_cannot_be_are_named(make, field):
    with pytest.raises(UserError) as caught:
        cells(make())
    assert str(caught.value).startswith(field)
