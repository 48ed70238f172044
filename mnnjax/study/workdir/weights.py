"""Weights."""

import io
from collections.abc import Mapping
from typing import Any, cast

import numpy as np
from jaxtyping import Float


def to_npz(params: Mapping[str, Float[np.ndarray, "repeats ..."]]) -> bytes:
    """A cell's parameters, each with the repetitions as leading axis, as an .npz: the same bytes for the same values,
    for NumPy writes no times."""
    return to_bytes({name: np.asarray(params[name]) for name in sorted(params)})


Arrays = dict[str, np.ndarray]


# What may be written: arrays, and single numbers of NumPy's.
Writable = Mapping[str, np.ndarray | np.generic]


def to_bytes(arrays: Writable) -> bytes:
    """The arrays as an .npz: the same bytes for the same values in the same order, for NumPy writes no times."""
    content = io.BytesIO()
    # Type checkers take a name for that of savez's own option, allow_pickle.
    np.savez(content, **cast(Any, arrays))
    return content.getvalue()
