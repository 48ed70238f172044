"""Whitening: inputs with mean zero and covariance identity, as Table 1 has them, for any number of images.

The images are read in blocks, as bytes. Their moments are exact: with 128 subtracted, a product of two pixels is an
integer of at most 2^14. A sum over the 1024 rows of a tile, at most 2^24, is exact in float32, whatever the order of
its terms; tiles are added in float64. The result depends on neither devices nor blocks. A user's real points take two
passes in float64 instead: means first, then the products of what is left.

With p pixels, an array of p x p takes 8 p^2 bytes: 1.2 GB of ImageNet 64x64. At most three are held at once, two with
Cholesky's factor."""

import dataclasses
import functools
import itertools
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import scipy.linalg
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
# Columns of the transform, and rows of the covariance, that are computed at once.
COLUMNS, STRIP = 2048, 1024
SHIFT = 128
# With more pixels than this, all cores compute the directions, and coordinates in float32 are computed in float32.
MANY_PIXELS = 2000
# SciPy's LAPACK counts in 32 bits, and divide and conquer takes 2 n^2 numbers to work with.
MOST_IN_PLACE = 32_765
# OpenBLAS 0.3.30 crashes while several threads factorize an array of more than 2 GB.
MOST_BY_THREADS = 16_384
KINDS = ("pca", "zca", "cholesky")
# Columns of the transform for which rounding to float32 could matter more than this stay in float64.
FLOAT32_ERROR = 4e-3
NOTHING = "images: no pixel varies, there is nothing to whiten"

Read = Callable[[np.ndarray], Real[np.ndarray, "rows pixels"]]


class Unwhitened(NamedTuple):
    """x -> x: inputs as they are."""

    d0: int

    def apply(self, images: Real[np.ndarray, "rows d0"], dtype: DTypeLike) -> Float[np.ndarray, "rows d0"]:
        """The same numbers as dtype."""
        return images.astype(dtype)


class _Part(NamedTuple):
    """Some columns of a whitening, in the precision in which they are multiplied."""

    columns: slice
    mean: np.ndarray
    transform: np.ndarray


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
        """The images' coordinates as dtype, computed on all cores. The last bits do not depend on the number of cores,
        nor on how rows are cut, at multiples of CHUNK_ROWS.

        All is computed in float64, but for float32 coordinates of images of more than MANY_PIXELS pixels. These are
        products in float32. As measured they err by a small fraction of 2^-24 |x - mean| |column of transform|.
        Columns for which this size may exceed FLOAT32_ERROR are computed in float64.
        """
        result = np.empty((len(images), self.d0), dtype)
        single = result.dtype == np.float32 and images.dtype == np.uint8 and len(self.mean) > MANY_PIXELS

        def whiten(chunk: int, part: _Part) -> None:
            rows = slice(chunk, chunk + CHUNK_ROWS)
            result[rows, part.columns] = np.subtract(images[rows], part.mean, dtype=part.mean.dtype) @ part.transform

        tasks = itertools.product(range(0, len(images), CHUNK_ROWS), self._single_parts if single else self._parts)
        with threadpool_limits(limits=1, user_api="blas"), ThreadPoolExecutor(cores()) as pool:
            list(pool.map(lambda task: whiten(*task), tasks))
        return result

    @property
    def _parts(self) -> list[_Part]:
        blocks = (slice(first, first + COLUMNS) for first in range(0, self.d0, COLUMNS))
        return [_Part(columns, self.mean, self.transform[:, columns]) for columns in blocks]

    @functools.cached_property
    def _single_parts(self) -> list[_Part]:
        """The same in float32, where its rounding is small."""
        # No image is farther from the mean.
        farthest = np.linalg.norm(np.maximum(self.mean, 255 - self.mean))

        def rounded(part: _Part) -> _Part:
            if 2.0**-24 * farthest * np.linalg.norm(part.transform, axis=0).max() > FLOAT32_ERROR:
                return part
            return _Part(part.columns, part.mean.astype(np.float32), part.transform.astype(np.float32))

        return [rounded(part) for part in self._parts]


def fit_whitening(
    read: Read, N: int, pixels: int, kind: str = "pca", devices: Sequence[Device] | None = None
) -> Whitening:
    """The whitening of N images, uint8, or real points (section 4, Table 1). Images are summed on all devices at once,
    in blocks of at most BLOCK_ROWS.

    Constant pixels, and directions with at most NEAR_NULL times the largest variance, are dropped, so d0 <= pixels.

    Args:
      read: indices in 0 ... N - 1 -> images (rows, pixels).
      kind: "pca", d0 coordinates along the principal directions, by falling variance; "zca", these turned back to the
        d0 pixels that vary (dropped directions stay zero); or "cholesky", what each pixel adds to those before it, in
        units of its standard deviation. With many pixels the last is much faster: it needs no eigenvectors.
      devices: the devices that sum; None is JAX's default device.

    Raises:
      ValueError: kind is another one, no pixel varies, or for "cholesky" pixels depend linearly on others.

    Example:
        images = open_images(Problem("digits", "classes"))
        whitening = fit_whitening(images.read, images.N, images.pixels)
        X = whitening.apply(images.read(np.arange(images.N)), np.float64)  # (1797, 61), X.T @ X / 1797 = I
    """
    if kind not in KINDS:
        raise ValueError(f"kind: {kind!r} is none of {', '.join(map(repr, KINDS))}")
    few = min(pixels, BLOCK_ROWS) > N
    # Minutes to an hour on one core beyond; below, the last digits should not depend on how many cores there are.
    threads = cores() if pixels > MANY_PIXELS and not few else None
    if kind == "cholesky" and pixels > MOST_BY_THREADS:
        threads = 1
    with threadpool_limits(limits=threads, user_api="blas"):
        if kind == "cholesky":
            mean, varies, covariance = _covariances(read, N, pixels, devices or [None])
            transform = _inverse_factor(covariance)
        else:
            mean, varies, variances, directions = _few(read, N) if few else _many(read, N, pixels, devices or [None])
            transform = _transform(variances, directions, kind)
    if varies.all():
        return Whitening(mean, np.ascontiguousarray(transform))
    whole = np.zeros((pixels, transform.shape[1]))
    whole[varies] = transform
    return Whitening(mean, whole)


def _transform(variances: np.ndarray, directions: np.ndarray, kind: str) -> np.ndarray:
    """Of pixels that vary, to coordinates; rising variances of principal directions (rows), which are written over."""
    d0 = int((variances > NEAR_NULL * variances[-1:]).sum())
    if not d0:
        raise UserError(NOTHING)
    # The order of falling variance; eigh gives the rising one.
    variances, directions = variances[-d0:][::-1], directions[-d0:][::-1]
    for direction, variance in zip(directions, variances, strict=True):
        # eigh leaves the signs open: the largest entry is made positive.
        direction *= np.sign(direction[np.abs(direction).argmax()])
        direction /= variance**0.25 if kind == "zca" else np.sqrt(variance)
    return directions.T @ directions if kind == "zca" else directions.T


def _inverse_factor(covariance: Float[np.ndarray, "n n"]) -> Float[np.ndarray, "n n"]:
    """The inverse of the upper triangular U with U^T U the covariance, of which the lower triangle is read; it is
    written over."""
    if not len(covariance):
        raise UserError(NOTHING)
    largest = covariance.diagonal().max()
    # LAPACK works in place, and on columns.
    potrf, trtri = scipy.linalg.get_lapack_funcs(("potrf", "trtri"), (covariance,))
    factor, failed = potrf(covariance.T, lower=0, overwrite_a=1, clean=1)
    # U_kk^2 is the variance that pixel k has beside those before it.
    if failed or (factor.diagonal() ** 2).min() <= NEAR_NULL * largest:
        what = "images whose pixels depend linearly on each other have no Cholesky factor"
        raise UserError(f"{what}; use whitening 'pca' or 'zca', which drop such directions")
    return trtri(factor, lower=0, overwrite_c=1)[0]


def _many(read: Read, N: int, pixels: int, devices: Sequence[Device | None]):
    """Means, which pixels vary, and rising variances of their principal directions (rows), by the covariance."""
    mean, varies, covariance = _covariances(read, N, pixels, devices)
    return mean, varies, *_eigh(covariance)


def _covariances(read: Read, N: int, pixels: int, devices: Sequence[Device | None]):
    """Means, which pixels vary, and the covariance of these, of which the lower triangle is meant."""
    if read(np.arange(0)).dtype == np.uint8:
        mean, covariance = _of_images(read, N, pixels, devices)
    else:
        mean, covariance = _of_points(read, N, pixels)
    # A copy: a view would keep the whole alive.
    pixel_variances = np.diag(covariance).copy()
    varies = pixel_variances > CONSTANT * pixel_variances.max()
    if not varies.all():
        covariance = covariance[np.ix_(varies, varies)]
    return mean, varies, covariance


def _of_images(read: Read, N: int, pixels: int, devices: Sequence[Device | None]) -> tuple[np.ndarray, np.ndarray]:
    """Means and covariance, of which the lower triangle is meant."""
    sums, products = _moments(read, N, pixels, devices)
    return SHIFT + sums / N, _covariance(sums, products, N)


def _of_points(read: Read, N: int, pixels: int) -> tuple[np.ndarray, np.ndarray]:
    """The same of real points: in float64, by the products of what is left when the means are subtracted."""
    blocks = [np.arange(start, min(start + BLOCK_ROWS, N)) for start in range(0, N, BLOCK_ROWS)]
    mean = sum((read(rows).sum(axis=0, dtype=np.float64) for rows in blocks), np.zeros(pixels)) / N
    covariance = np.zeros((pixels, pixels))
    for rows in blocks:
        left = read(rows) - mean
        covariance += left.T @ left / N
    return mean, covariance


def _covariance(sums: np.ndarray, products: np.ndarray, N: int) -> np.ndarray:
    """The covariance, written over the products; of both the lower triangle, and little else, is computed."""
    for first in range(0, len(sums), STRIP):
        rows, columns = slice(first, first + STRIP), slice(min(first + STRIP, len(sums)))
        strip = products[rows, columns]
        strip *= N
        strip -= np.outer(sums[rows], sums[columns])
        strip /= N**2
    return products


def _eigh(matrix: Float[np.ndarray, "n n"]) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, "n n"]]:
    """Rising eigenvalues and eigenvectors (rows) of a symmetric matrix, of which the lower triangle is read;
    it is written over."""
    if not len(matrix):
        return np.zeros(0), matrix
    driver = "evd" if len(matrix) <= MOST_IN_PLACE else "evr"
    # LAPACK works in place, and on columns.
    values, vectors = scipy.linalg.eigh(matrix.T, lower=False, overwrite_a=True, check_finite=False, driver=driver)
    return values, vectors.T


def _few(read: Read, N: int):
    """The same where images are fewer than pixels: by the N x N matrix of their inner products."""
    images = read(np.arange(N)).astype(np.float64)
    mean, varies = images.mean(axis=0), images.min(axis=0) < images.max(axis=0)
    centred = (images - mean)[:, varies]
    variances, combinations = _eigh(centred @ centred.T / N)
    # What is near null is dropped, and must not divide by zero before.
    scale = np.sqrt(N * np.maximum(variances, np.finfo(np.float64).tiny))
    return mean, varies, variances, combinations @ centred / scale[:, None]


def _moments(read: Read, N: int, pixels: int, devices: Sequence[Device | None]) -> tuple[np.ndarray, np.ndarray]:
    """The sums of the pixels, and of their products (the lower triangle), after SHIFT is subtracted; exact up to 2^53.
    The devices share the triangle by strips of its rows, so that together they hold it once."""
    add = jax.jit(_add_block, donate_argnums=0)
    # Rows `first` to `stop`. The longest strips come first; in every other round the devices take turns the other way.
    strips = [(first, min(first + STRIP, pixels)) for first in range(0, pixels, STRIP)][::-1]
    rounds = itertools.cycle([*range(len(devices)), *reversed(range(len(devices)))])
    owners = list(itertools.islice(rounds, len(strips)))
    totals = []
    for (first, stop), k in zip(strips, owners, strict=True):
        with jax.default_device(devices[k]):
            totals.append((jnp.zeros(stop - first), jnp.zeros((stop - first, stop))))
    for start in range(0, N, BLOCK_ROWS):
        images = read(np.arange(start, min(start + BLOCK_ROWS, N)))
        # Rows of SHIFT count for nothing, and all blocks share a program.
        whole = np.full((min(BLOCK_ROWS, -(-N // TILE_ROWS) * TILE_ROWS), pixels), SHIFT, np.uint8)
        whole[: len(images)] = images
        # A device has one block at a time.
        jax.block_until_ready(totals)
        blocks = {k: jax.device_put(whole, devices[k]) for k in set(owners)}
        totals = [add(total, blocks[k]) for total, k in zip(totals, owners, strict=True)]
    sums, products = np.empty(pixels), np.zeros((pixels, pixels))
    for first, stop in reversed(strips):
        sums[first:stop], products[first:stop, :stop] = jax.device_get(totals.pop())
    return sums, products


def _add_block(totals, images):
    """Add images (rows, pixels) to a strip of the triangle: the sums of its pixels, and their products with those up to
    its last one."""
    height, stop = totals[1].shape

    def add_tile(totals, tile):
        tile = tile.astype(jnp.float32) - SHIFT
        own = tile[:, stop - height :]
        sums, products = totals
        return (sums + own.sum(axis=0).astype(sums.dtype), products + (own.T @ tile).astype(products.dtype)), None

    return jax.lax.scan(add_tile, totals, images[:, :stop].reshape(-1, TILE_ROWS, stop))[0]
