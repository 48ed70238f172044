"""Whitening: against pseudo-inverses in float64 and exact integers, in blocks, on any devices, and on real MNIST."""

import jax
import numpy as np
import pytest
import scipy.linalg
from sklearn.datasets import load_digits

from mnnjax.config import Problem
from mnnjax.data import import_data
from mnnjax.problems import Whitening, fit_whitening, open_images, whitening

EPS = np.finfo(np.float64).eps
N = 70


def columns(seed=0, N=N):
    """Four correlated columns of bytes that vary on comparable scales, far from mean zero."""
    rng = np.random.default_rng(seed)
    return np.clip(np.rint(128 + 25 * rng.normal(size=(N, 4)) @ rng.normal(size=(4, 4))), 0, 255).astype(np.uint8)


def white(images, kind="pca", dtype=np.float64, **options):
    return fit(images, kind, **options).apply(images, dtype)


def fit(images, kind="pca", **options):
    return fit_whitening(images.__getitem__, *images.shape, kind, **options)


def covariance(X):
    return np.cov(X, rowvar=False, bias=True)


def gram_by_pseudo_inverse(X):
    """What whitening does to inner products, whatever the order and signs of its directions."""
    centred = X - X.mean(axis=0)
    return centred @ np.linalg.pinv(covariance(X), rcond=1e-10, hermitian=True) @ centred.T


def rounding(X):
    """Eigenvectors and eigenvalues err by about eps times the condition number of the covariance."""
    variances = np.linalg.eigvalsh(covariance(X))
    return 100 * EPS * variances[-1] / variances[variances > 1e-10 * variances[-1]][0]


def with_constants(X):
    return np.column_stack([np.full(len(X), 255, np.uint8), X[:, :2], np.zeros(len(X), np.uint8), X[:, 2:]])


def with_dependent_columns(X):
    return np.column_stack([X, X[:, 1], 255 - X[:, 0]])


EXTRA = {"plain": lambda X: X, "constant": with_constants, "dependent": with_dependent_columns}


@pytest.mark.parametrize("extra", EXTRA.values(), ids=EXTRA)
@pytest.mark.parametrize("kind", ["pca", "zca"])
def test_mean_covariance_and_inner_products(kind, extra):
    X = extra(columns())
    found = white(X, kind)
    tolerance = rounding(X)
    varying = X[:, X.std(axis=0) > 0].astype(np.float64)
    assert found.shape == (N, 4 if kind == "pca" else varying.shape[1])
    np.testing.assert_allclose(found.mean(axis=0), 0, atol=tolerance)
    # ZCA: identity on what the pixels span, zero in the directions that are dropped.
    C = covariance(varying)
    expected = np.eye(4) if kind == "pca" else C @ np.linalg.pinv(C, rcond=1e-10, hermitian=True)
    np.testing.assert_allclose(found.T @ found / N, expected, atol=tolerance)
    # |x[n]|^2 is at most N, since the columns have variance 1.
    np.testing.assert_allclose(found @ found.T, gram_by_pseudo_inverse(X.astype(np.float64)), atol=N * tolerance)


@pytest.mark.parametrize("extra", EXTRA.values(), ids=EXTRA)
def test_zca_is_the_whitening_closest_to_the_pixels(extra):
    X = extra(columns())
    pixels = X[:, X.std(axis=0) > 0].astype(np.float64)
    centred = pixels - pixels.mean(axis=0)
    # All whitenings are turns of one; the nearest turn is Procrustes' problem. PCA coordinates of rank 4 are filled up.
    coordinates = np.pad(white(X), ((0, 0), (0, pixels.shape[1] - 4)))
    turn, _ = scipy.linalg.orthogonal_procrustes(coordinates, centred)
    np.testing.assert_allclose(white(X, "zca"), coordinates @ turn, atol=rounding(X) * np.sqrt(N))
    transform = fit(X, "zca").transform
    assert not transform[X.std(axis=0) == 0].any()
    own = transform[X.std(axis=0) > 0]
    np.testing.assert_allclose(own, own.T, atol=rounding(X) * np.abs(own).max())


def test_dropped_directions_stay_zero_in_zca():
    X = with_dependent_columns(columns())
    found = white(X, "zca")
    np.testing.assert_allclose(found[:, 4], found[:, 1], atol=rounding(X) * np.sqrt(N))
    np.testing.assert_allclose(found[:, 5], -found[:, 0], atol=rounding(X) * np.sqrt(N))


@pytest.mark.parametrize(("kind", "d0"), [("pca", 4), ("zca", 9)])
def test_fewer_images_than_pixels_leave_one_direction_less_than_images(kind, d0):
    """Five images of nine pixels that vary, and one that does not."""
    X = np.random.default_rng(1).integers(0, 256, (5, 10), np.uint8)
    X[:, 7] = 9
    found = white(X, kind)
    assert found.shape == (5, d0)
    np.testing.assert_allclose(found @ found.T, gram_by_pseudo_inverse(X.astype(np.float64)), atol=5 * rounding(X))
    assert not fit(X, kind).transform[7].any()


@pytest.mark.parametrize("kind", ["pca", "zca"])
def test_the_two_ways_to_the_principal_directions_agree(monkeypatch, kind):
    """Nine images of nine pixels by their covariance, and by their inner products, as if they were fewer."""
    X = np.random.default_rng(1).integers(0, 256, (9, 9), np.uint8)
    by_covariance = fit(X, kind)
    with monkeypatch.context() as patch:
        patch.setattr(whitening, "_many", lambda read, N, pixels, devices: whitening._few(read, N))
        by_products = fit(X, kind)
    np.testing.assert_allclose(by_products.mean, by_covariance.mean, rtol=4 * EPS)
    size = np.abs(by_covariance.transform).max()
    np.testing.assert_allclose(by_products.transform, by_covariance.transform, atol=10 * rounding(X) * size)


@pytest.mark.parametrize("kind", ["pca", "zca"])
@pytest.mark.parametrize("extra", EXTRA.values(), ids=EXTRA)
def test_too_many_pixels_to_divide_and_conquer_are_whitened_likewise(monkeypatch, kind, extra):
    X = extra(columns())
    found = fit(X, kind)
    monkeypatch.setattr(whitening, "MOST_IN_PLACE", 0)
    size = np.abs(found.transform).max()
    np.testing.assert_allclose(fit(X, kind).transform, found.transform, atol=10 * rounding(X) * size)


def test_directions_come_in_the_order_of_falling_variance_with_their_largest_entry_positive():
    X = np.clip(np.rint(128 + np.random.default_rng(2).normal(size=(400, 3)) * [2, 35, 10]), 0, 255).astype(np.uint8)
    correlation = np.corrcoef(white(X), X, rowvar=False)[:3, 3:]
    assert correlation.argmax(axis=1).tolist() == [1, 2, 0]
    assert np.abs(correlation).argmax(axis=1).tolist() == [1, 2, 0]


@pytest.mark.parametrize(("images", "d0"), [(500_000, 3), (700_000, 2)])
def test_directions_up_to_1e_10_of_the_largest_variance_are_dropped(images, d0):
    """A pixel that is 1 in a single image has variance 1 / N: 1.2e-10 and 0.9e-10 of that of a pixel of 0 and 255."""

    def read(rows):
        return np.stack([rows % 2 * 255, rows // 2 % 2 * 200, rows == 5], axis=1).astype(np.uint8)

    found = fit_whitening(read, images, 3)
    assert found.d0 == d0
    # The pixels of the first two columns are independent and even.
    np.testing.assert_allclose(np.abs(found.transform[:2, :2]), np.diag([2 / 255, 2 / 200]), atol=1e-9)
    np.testing.assert_allclose(found.mean, [127.5, 100, 1 / images], atol=128 * EPS)
    if d0 == 3:
        np.testing.assert_allclose(found.transform[2, 2], np.sqrt(images), rtol=1e-5)  # Var = (1 - 1/N) / N; rounding


def exact_moments(images):
    shifted = images.astype(np.int64) - 128
    return shifted.sum(axis=0), shifted.T @ shifted


def extreme_images(N):
    rng = np.random.default_rng(3)
    random, black_or_white = rng.integers(0, 256, N), 255 * rng.integers(0, 2, N)
    return np.stack([np.zeros(N), np.full(N, 255), black_or_white, random], axis=1).astype(np.uint8)


@pytest.mark.parametrize(("strip", "devices"), [(1, 1), (1, 3), (3, 2), (1024, 2)])
@pytest.mark.parametrize("N", [2100, 5000])
def test_moments_are_those_of_integers_also_for_black_and_white(monkeypatch, N, strip, devices):
    """All of a tile's 1024 products are 2^14 in the first pixel: their sum is the last that float32 counts up to."""
    monkeypatch.setattr(whitening, "STRIP", strip)
    images = extreme_images(N)
    sums, products = whitening._moments(images.__getitem__, *images.shape, jax.devices()[:devices])
    expected_sums, expected_products = exact_moments(images)
    np.testing.assert_array_equal(sums, expected_sums)
    np.testing.assert_array_equal(np.tril(products), np.tril(expected_products))


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["pca", "zca"])
def test_neither_devices_nor_blocks_change_a_bit(monkeypatch, kind):
    images = np.column_stack([columns(N=1100), extreme_images(1100)])
    found = [fit(images, kind)]
    for devices, block, tile, strip in [(1, 96, 32, 8), (2, 96, 32, 3), (3, 32, 32, 1), (8, 256, 64, 2)]:
        with monkeypatch.context() as patch:
            patch.setattr(whitening, "STRIP", strip)
            patch.setattr(whitening, "BLOCK_ROWS", block)
            patch.setattr(whitening, "TILE_ROWS", tile)
            found.append(fit(images, kind, devices=jax.devices()[:devices]))
    for other in found[1:]:
        np.testing.assert_array_equal(other.mean, found[0].mean)
        np.testing.assert_array_equal(other.transform, found[0].transform)


@pytest.mark.parametrize("N", [1, 31, 96, 200])
def test_all_images_are_read_once_and_never_more_than_a_block_at_a_time(monkeypatch, N):
    monkeypatch.setattr(whitening, "BLOCK_ROWS", 96)
    monkeypatch.setattr(whitening, "TILE_ROWS", 32)
    images, asked = columns(N=N), []

    def read(rows):
        asked.append(rows)
        return images[rows]

    if N == 1:
        with pytest.raises(ValueError, match="no pixel varies"):
            fit_whitening(read, 1, 4)
    else:
        fit_whitening(read, N, 4, devices=jax.devices()[:2])
    assert max(map(len, asked)) <= 96
    np.testing.assert_array_equal(np.concatenate(asked), np.arange(N))


@pytest.fixture
def as_of_many_pixels(monkeypatch):
    """Images of more than 30 pixels are treated as those of thousands are; their transforms are cut into columns."""
    monkeypatch.setattr(whitening, "MANY_PIXELS", 30)
    monkeypatch.setattr(whitening, "COLUMNS", 16)


@pytest.mark.parametrize("pixels", [30, 40])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.usefixtures("as_of_many_pixels")
def test_neither_threads_nor_pieces_of_whole_chunks_change_a_bit(monkeypatch, dtype, pixels):
    images = np.random.default_rng(4).integers(0, 256, (1100, pixels), np.uint8)
    found = fit(images)
    whole = found.apply(images, dtype)
    assert whole.dtype == dtype
    for cores in (1, 5):
        monkeypatch.setattr(whitening, "cores", lambda cores=cores: cores)
        np.testing.assert_array_equal(found.apply(images, dtype), whole)
        pieces = [found.apply(images[rows], dtype) for rows in (slice(0, 256), slice(256, 768), slice(768, None))]
        np.testing.assert_array_equal(np.concatenate(pieces), whole)
    # Whatever piece a row is in, it is the same to rounding: of so many terms, and then to dtype.
    size = (np.abs(images - found.mean) @ np.abs(found.transform)).max()
    expected = (images - found.mean) @ found.transform
    np.testing.assert_allclose(found.apply(images[33:34], np.float64), expected[33:34], atol=40 * EPS * size)
    eps = np.finfo(dtype).eps
    products_eps = eps if pixels > 30 else EPS
    np.testing.assert_allclose(whole, expected, rtol=eps, atol=40 * products_eps * size)


@pytest.mark.usefixtures("as_of_many_pixels")
@pytest.mark.parametrize("kind", ["pca", "zca"])
def test_float32_is_for_columns_in_which_rounding_stays_small(kind):
    """The last pixel is 1 in one of 60 000 images, beside pixels of 0 and 255. Its column has length sqrt(60 000): with
    2^-24 and the distance from the mean this exceeds FLOAT32_ERROR. The other columns have length 2 / 255."""
    rows = np.arange(60_000)
    images = np.zeros((len(rows), 33), np.uint8)
    images[:, :32] = 255 * np.random.default_rng(5).integers(0, 2, (len(rows), 32))
    images[5, 32] = 1
    found = fit(images, kind)
    exact, rounded = (found.apply(images[:300], dtype) for dtype in (np.float64, np.float32))
    error = np.abs(rounded - exact)
    # The columns are taken in blocks of 16, and the last one has a block of its own.
    np.testing.assert_allclose(rounded[:, 32], exact[:, 32], rtol=np.finfo(np.float32).eps)
    assert 1e-8 < error[:, :32].max() < 33 * 2.0**-23 * 255 * np.sqrt(32) * 2 / 255
    np.testing.assert_allclose(exact[5, 32], np.sqrt(len(rows)), rtol=1e-3)


def test_no_images_are_whitened_to_none():
    assert fit(columns()).apply(np.zeros((0, 4), np.uint8), np.float32).shape == (0, 4)


@pytest.mark.parametrize(("value", "N"), [(0, 10), (128, 10), (255, 10), (3, 2)])
def test_nothing_that_varies_is_refused(value, N):
    for kind in whitening.KINDS:
        with pytest.raises(ValueError, match="no pixel varies"):
            fit(np.full((N, 3), value, np.uint8), kind)


def test_other_kinds_are_refused():
    with pytest.raises(ValueError, match="'lda' is none of 'pca', 'zca', 'cholesky'"):
        fit(columns(), "lda")


@pytest.mark.parametrize("extra", [EXTRA["plain"], EXTRA["constant"]], ids=["plain", "constant"])
@pytest.mark.parametrize("real", [False, True])
def test_cholesky_is_what_each_pixel_adds_to_those_before_it(extra, real):
    """The residual of a pixel's least squares fit on those before it, divided by its root mean square."""
    X = extra(columns()).astype(np.float64 if real else np.uint8)
    found = white(X, "cholesky")
    centred = X - X.mean(axis=0)
    centred = centred[:, X.std(axis=0) > 0]
    for k, pixel in enumerate(centred.T):
        before = centred[:, :k]
        left = pixel - before @ np.linalg.lstsq(before, pixel)[0]
        np.testing.assert_allclose(found[:, k], left / np.sqrt(np.mean(left**2)), atol=rounding(X) * np.sqrt(N))
    np.testing.assert_allclose(found @ found.T, gram_by_pseudo_inverse(X), atol=N * rounding(X))
    assert not fit(X, "cholesky").transform[X.std(axis=0) == 0].any()


@pytest.mark.parametrize("images", [with_dependent_columns(columns()), columns(N=3)], ids=["dependent", "few"])
def test_dependent_pixels_have_no_cholesky_factor(images):
    with pytest.raises(ValueError, match=r"depend linearly.*use whitening 'pca'"):
        fit(images, "cholesky")


def test_digits_are_those_of_scikit_learn():
    """Their bytes are the small whole numbers that scikit-learn gives as float64."""
    pixels, _ = load_digits(return_X_y=True)
    images = open_images(Problem("digits", "classes"), None)
    found: Whitening = fit_whitening(images.read, images.N, images.pixels)
    X = found.apply(images.read(np.arange(images.N)), np.float64)
    assert X.shape == (1797, 61)
    np.testing.assert_allclose(X.T @ X / 1797, np.eye(61), atol=1e-8)
    np.testing.assert_allclose(X[:50] @ X[:50].T, gram_by_pseudo_inverse(pixels)[:50, :50], atol=1e-8 * 1797)


@pytest.mark.slow
def test_all_of_mnist_has_covariance_identity(real_mnist, tmp_path):
    """In float32, chunk by chunk; products of 70 000 terms round to about 1e-5."""
    import_data("mnist", real_mnist, tmp_path)
    images = open_images(Problem("mnist", "classes", split="all"), tmp_path)
    assert (images.N, images.pixels) == (70_000, 784)
    found = fit_whitening(images.read, images.N, images.pixels, devices=jax.devices()[:2])
    d0 = found.d0
    assert d0 == 713
    sums, products = np.zeros(d0), np.zeros((d0, d0))
    for start in range(0, images.N, 8192):
        X = found.apply(images.read(np.arange(start, min(start + 8192, images.N))), np.float32)
        sums += X.sum(axis=0)
        products += X.T @ X
    np.testing.assert_allclose(sums / images.N, 0, atol=1e-3)
    np.testing.assert_allclose(products / images.N, np.eye(d0), atol=1e-3)
