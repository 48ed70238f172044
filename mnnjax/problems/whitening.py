"""Whitening: inputs with mean zero and covariance identity, as Table 1 has them, for any number of images.

The images are read in blocks, as bytes. Their moments are exact: with 128 subtracted, a product of two pixels is an
integer of at most 2^14. A sum over the 1024 rows of a tile, at most 2^24, is exact in float32, whatever the order of
its terms; tiles are added in float64. The result depends on neither devices nor blocks. A user's real points take two
passes in float64 instead: means first, then the products of what is left."""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike
from jaxtyping import Float, Real
from threadpoolctl import threadpool_limits

from mnnjax.errors import UserError
from mnnjax.jax_setup import Device, cores

# Directions whose variance is at most this fraction of the largest one's are dropped. Rounding leaves about 1e-16 in
# directions that hold nothing, and bends a direction of relative variance v by about 1e-16 / v.
NEAR_NULL = 1e-10
# Pixels below this fraction of the largest variance are constant, but for rounding.
CONSTANT = 1e-14
BLOCK_ROWS, TILE_ROWS, CHUNK_ROWS = 4096, 1024, 256
SHIFT = 128
# With more pixels than this, all cores compute the directions.
MANY_PIXELS = 2000

Read = Callable[[np.ndarray], Real[np.ndarray, "rows pixels"]]


class Unwhitened(NamedTuple):
    """x -> x: inputs as they are."""

    d0: int

    def apply(self, images: Real[np.ndarray, "rows d0"], dtype: DTypeLike) -> Float[np.ndarray, "rows d0"]:
        """The same numbers as dtype."""
        return images.astype(dtype)


@dataclasses.dataclass(frozen=True)
class Whitening:
    """x -> (x - mean) transform, from pixels to d0 coordinates of mean zero and covariance identity (divisor N; zca:
    identity on the directions that are kept, zero on the others)."""

    mean: Float[np.ndarray, " pixels"]
    transform: Float[np.ndarray, "pixels d0"]

    @property
    def d0(self) -> int:
        """The number of coordinates that are left of the pixels."""
        return self.transform.shape[1]

    def apply(self, images: Real[np.ndarray, "rows pixels"], dtype: DTypeLike) -> Float[np.ndarray, "rows d0"]:
        """The images' coordinates, computed in float64 on all cores, returned as dtype. The last bits do not depend on
        the number of cores, nor on how rows are cut, at multiples of CHUNK_ROWS."""
        result = np.empty((len(images), self.d0), dtype)

        def whiten_chunk(start: int) -> None:
            rows = slice(start, start + CHUNK_ROWS)
            result[rows] = (images[rows] - self.mean) @ self.transform

        starts = range(0, len(images), CHUNK_ROWS)
        with threadpool_limits(limits=1, user_api="blas"), ThreadPoolExecutor(cores()) as pool:
            list(pool.map(whiten_chunk, starts))
        return result


def fit_whitening(
    read: Read, N: int, pixels: int, kind: str = "pca", devices: Sequence[Device] | None = None
) -> Whitening:
    """The whitening of N images, uint8, or real points (section 4, Table 1). Images are summed on all devices at once,
    in blocks of at most BLOCK_ROWS.

    Constant pixels, and directions with at most NEAR_NULL times the largest variance, are dropped, so d0 <= pixels.

    Args:
      read: indices in 0 ... N - 1 -> images (rows, pixels).
      kind: "pca", d0 coordinates along the principal directions, by falling variance; or "zca", these turned back to
        the d0 pixels that vary (dropped directions stay zero). ValueError for another kind, or where no pixel varies.
      devices: the devices that sum; None is JAX's default device.

    Example:
        images = open_images(Problem("digits", "classes"))
        whitening = fit_whitening(images.read, images.N, images.pixels)
        X = whitening.apply(images.read(np.arange(images.N)), np.float64)  # (1797, 61), X.T @ X / 1797 = I
    """
    if kind not in ("pca", "zca"):
        raise ValueError(f"kind: {kind!r} is none of 'pca', 'zca'")
    if min(pixels, BLOCK_ROWS) > N:
        found = _few(read, N)
    elif read(np.arange(0)).dtype == np.uint8:
        found = _many(read, N, pixels, devices or [None])
    else:
        found = _many_real(read, N, pixels)
    mean, varies, variances, directions = found
    if not varies.any():
        raise UserError(f"images ({N}, {pixels}): no pixel varies, there is nothing to whiten")
    keep = variances > NEAR_NULL * variances[-1]
    # The order of falling variance; eigh gives the rising one.
    variances, directions = variances[keep][::-1], directions[:, keep][:, ::-1]
    # eigh leaves the signs open: the largest entry is made positive.
    largest = np.take_along_axis(directions, np.abs(directions).argmax(axis=0)[None], axis=0)
    directions = directions * np.sign(largest)
    transform = directions / np.sqrt(variances)
    if kind == "zca":
        transform = transform @ directions.T
    whole = np.zeros((pixels, transform.shape[1]))
    whole[varies] = transform
    return Whitening(mean, whole)


def _many(read: Read, N: int, pixels: int, devices: Sequence[Device | None]):
    """Means, which pixels vary, and rising variances of their principal directions (columns), by the covariance."""
    sums, products = _moments(read, N, pixels, devices)
    return _principal(SHIFT + sums / N, (N * products - np.outer(sums, sums)) / N**2)


def _many_real(read: Read, N: int, pixels: int):
    """The same of real points: in float64, by the products of what is left when the means are subtracted."""
    blocks = [np.arange(start, min(start + BLOCK_ROWS, N)) for start in range(0, N, BLOCK_ROWS)]
    mean = sum((read(rows).sum(axis=0, dtype=np.float64) for rows in blocks), np.zeros(pixels)) / N
    covariance = np.zeros((pixels, pixels))
    for rows in blocks:
        left = read(rows) - mean
        covariance += left.T @ left / N
    return _principal(mean, covariance)


def _principal(mean: np.ndarray, covariance: np.ndarray):
    """Means, which inputs vary, and rising variances of their principal directions (columns)."""
    pixel_variances = np.diag(covariance)
    varies = pixel_variances > CONSTANT * pixel_variances.max()
    # Minutes to an hour on one core beyond; below, the last digits should not depend on how many cores there are.
    with threadpool_limits(limits=cores() if varies.sum() > MANY_PIXELS else None, user_api="blas"):
        variances, directions = np.linalg.eigh(covariance[np.ix_(varies, varies)])
    return mean, varies, variances, directions


def _few(read: Read, N: int):
    """The same where images are fewer than pixels: by the N x N matrix of their inner products."""
    images = read(np.arange(N)).astype(np.float64)
    mean, varies = images.mean(axis=0), images.min(axis=0) < images.max(axis=0)
    centred = (images - mean)[:, varies]
    variances, combinations = np.linalg.eigh(centred @ centred.T / N)
    # What is near null is dropped, and must not divide by zero before.
    scale = np.sqrt(N * np.maximum(variances, np.finfo(np.float64).tiny))
    return mean, varies, variances, centred.T @ combinations / scale


def _moments(read: Read, N: int, pixels: int, devices: Sequence[Device | None]) -> tuple[np.ndarray, np.ndarray]:
    """The sums of the pixels, and of their products, after SHIFT is subtracted; exact up to 2^53."""
    add = jax.jit(_add_block, donate_argnums=0)
    zero = np.zeros(pixels), np.zeros((pixels, pixels))
    totals = [jax.device_put(zero, device) for device in devices]
    for block, start in enumerate(range(0, N, BLOCK_ROWS)):
        images = read(np.arange(start, min(start + BLOCK_ROWS, N)))
        # Rows of SHIFT count for nothing, and all blocks share a program.
        whole = np.full((min(BLOCK_ROWS, -(-N // TILE_ROWS) * TILE_ROWS), pixels), SHIFT, np.uint8)
        whole[: len(images)] = images
        k = block % len(devices)
        # A device has one block at a time.
        jax.block_until_ready(totals[k])
        totals[k] = add(totals[k], jax.device_put(whole, devices[k]))
    sums, products = (functools.reduce(np.add, parts) for parts in zip(*jax.device_get(totals), strict=True))
    return sums, products


def _add_block(totals, images):
    def add_tile(totals, tile):
        tile = tile.astype(jnp.float32) - SHIFT
        sums, products = totals
        return (sums + tile.sum(axis=0).astype(sums.dtype), products + (tile.T @ tile).astype(products.dtype)), None

    return jax.lax.scan(add_tile, totals, images.reshape(-1, TILE_ROWS, images.shape[1]))[0]
