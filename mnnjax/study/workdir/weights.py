"""Arrays as the bytes of a file: the trained weights of a cell, and what the command line writes."""

import io
from collections.abc import Mapping
from typing import Any, cast

import numpy as np

Arrays = dict[str, np.ndarray]
# What may be written: arrays, and single numbers of NumPy's.
Writable = Mapping[str, np.ndarray | np.generic]


def to_bytes(arrays: Writable) -> bytes:
    """The arrays as an .npz: the same bytes for the same values in the same order, for NumPy writes no times."""
    content = io.BytesIO()
    # Type checkers take a name for that of savez's own option, allow_pickle.
    np.savez(content, **cast(Any, arrays))
    return content.getvalue()


def from_bytes(content: bytes) -> Arrays:
    """The arrays of an .npz; NumPy and zipfile raise many kinds of errors for a damaged one."""
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        return dict(arrays)


def joined(earlier: Arrays, later: Arrays, first: int) -> Arrays:
    """The first repetitions of one, then those of the other, which has the names; single numbers are the latter's."""
    return {name: np.concatenate([earlier[name][:first], a]) if a.ndim else a for name, a in later.items()}


def forms(arrays: Mapping[str, Any]) -> dict[str, str]:
    """The type and shape of each array, or of what stands for one, as text."""
    return {name: f"{np.dtype(array.dtype)}{list(array.shape)}" for name, array in arrays.items()}
