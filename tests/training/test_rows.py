"""Rows of X in blocks that devices share: which points lie where, in what batches, and how the devices are filled."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mnnjax.training import RowLayout, from_bits, place_rows, row_devices

# 64 blocks of 3 points; of the last ones, 14 are empty and one is not full.
N, D0 = 149, 4
RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(N, D0)), RNG.choice([-1.0, 1.0], N)


def placed(batch_size, devices, dtype, X_dtype=None):
    def block_of(block, points, device):
        # Point by point, with labels of another kind.
        for n in points:
            yield X[n : n + 1], Y[n : n + 1].astype(int)

    return place_rows(RowLayout(N, batch_size), D0, dtype, jax.devices()[:devices], block_of, X_dtype)


@pytest.mark.parametrize("points", [1, 5, 63, 64, 65, 149, 1000, 1797, 50_000])
@pytest.mark.parametrize("batch_size", [None, 64, 128, 1024, 64_000])
def test_each_point_has_a_place_and_batches_fill_it_evenly(points, batch_size):
    layout = RowLayout(points, batch_size)
    own = [layout.points_of(block) for block in range(64)]
    assert [n for part in own for n in part] == list(range(points))
    assert max(map(len, own)) == layout.points == -(-points // 64)
    assert layout.rows == layout.steps * layout.batch_rows
    # So little padding that no batch is empty: the first block is full.
    assert layout.points <= layout.rows < layout.points + layout.batch_rows
    assert batch_size is None or layout.batch_rows * 64 <= max(batch_size, 64)
    assert layout.steps == (1 if batch_size is None else -(-layout.points // (layout.batch_rows)))


@pytest.mark.parametrize(("available", "used"), [(1, 1), (2, 2), (3, 2), (4, 4), (7, 4), (8, 8)])
def test_as_many_devices_are_used_as_share_the_blocks_evenly(available, used):
    assert row_devices(jax.devices()[:available]) == jax.devices()[:used]


@pytest.mark.parametrize("batch_size", [None, 128])
@pytest.mark.parametrize("devices", [1, 8])
def test_each_device_holds_its_own_rows_and_zeros_of_weight_zero(devices, batch_size):
    rows, layout = placed(batch_size, devices, "float32"), RowLayout(N, batch_size)
    shape = (devices, 64 // devices, layout.rows)
    assert [leaf.shape for leaf in rows[:3]] == [(*shape, D0), shape, shape]
    assert {leaf.dtype for leaf in rows[:3]} == {np.dtype(np.float32)}
    np.testing.assert_array_equal(rows.first_block, np.arange(devices) * (64 // devices))
    for leaf in rows:
        assert [shard.device for shard in leaf.addressable_shards] == jax.devices()[:devices]
        assert {shard.data.shape for shard in leaf.addressable_shards} == {(1, *leaf.shape[1:])}
    weights = np.asarray(rows.weights).reshape(64, -1)
    held_X, held_y = np.asarray(rows.X).reshape(64, -1, D0), np.asarray(rows.y).reshape(64, -1)
    # In the order of the points, to float32.
    np.testing.assert_array_equal(held_X[weights == 1], X.astype(np.float32))
    np.testing.assert_array_equal(held_y[weights == 1], Y)
    assert weights.sum() == N
    assert not weights[weights != 1].any()
    assert not held_X[weights == 0].any()
    assert not held_y[weights == 0].any()


def test_parts_are_asked_for_one_after_the_other_on_the_device_that_keeps_them():
    asked = []

    def block_of(block, points, device):
        asked.append((block, points, device))
        yield jax.device_put(X[points.start : points.stop], device), Y[points.start : points.stop]

    place_rows(RowLayout(N, None), D0, "float64", jax.devices()[:2], block_of)
    assert asked == [(b, RowLayout(N, None).points_of(b), jax.devices()[b // 32]) for b in range(64)]


def test_rows_in_bfloat16_are_rounded_and_all_else_is_not():
    rounded = X.astype(jnp.bfloat16).astype(np.float64)
    assert 1e-4 < np.abs(rounded - X).max() < 2e-2
    rows = placed(None, 8, "float64", "bfloat16")
    assert rows.X.dtype.itemsize == 2
    held = from_bits(np.asarray(rows.X)).astype(np.float64).reshape(64, -1, D0)
    np.testing.assert_array_equal(held[np.asarray(rows.weights).reshape(64, -1) == 1], rounded)
    np.testing.assert_array_equal(from_bits(rows.X).astype(np.float64).reshape(held.shape), held)
    assert rows.y.dtype == rows.weights.dtype == np.float64
