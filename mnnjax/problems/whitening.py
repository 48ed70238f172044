"""Whitening: inputs with mean zero and covariance identity, as section 5 has them."""

import numpy as np
from jaxtyping import Float


def pca_whiten(X: Float[np.ndarray, "N d"], threshold: float = 1e-10) -> Float[np.ndarray, "N d0"]:
    """X (N, d) projected on its principal directions, each scaled to variance 1 (divisor N), in float64.

    Constant columns are dropped, and directions whose variance is at most `threshold` times the largest, so d0 <= d.
    Rounding leaves variances of about 1e-16 times the largest in directions that hold nothing.

    Raises:
      ValueError: X holds a value that is not finite, or no column that varies.
    """
    X = np.asarray(X, np.float64)
    if not np.isfinite(X).all():
        raise ValueError(f"X {X.shape}: holds values that are not finite")
    # Told from their values: the mean of a constant column may be off by rounding.
    varies = X.min(axis=0) < X.max(axis=0)
    if not varies.any():
        raise ValueError(f"X {X.shape}: no column varies, there is nothing to whiten")
    centred = X[:, varies] - X[:, varies].mean(axis=0)
    variances, directions = np.linalg.eigh(centred.T @ centred / len(X))
    keep = variances > threshold * variances[-1]
    # The order of falling variance; eigh gives the rising one.
    return (centred @ directions[:, keep] / np.sqrt(variances[keep]))[:, ::-1]
