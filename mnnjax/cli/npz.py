"""The .npz files of `mnnjax construct` and `mnnjax certify`, which users write too."""

import zipfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from mnnjax.errors import UserError, require
from mnnjax.study.workdir.storage import write_atomically
from mnnjax.study.workdir.weights import Arrays, Writable, to_bytes

SHAPES = {"W": "W (d1, d0)", "z": "z (d1,)", "X": "X (N, d0)", "y": "y (N,)"}


def read_arrays(path: Path, needed: Sequence[str], optional: Sequence[str] = ()) -> Arrays:
    """The needed arrays (keys of SHAPES) and the optional ones that an .npz holds, of real numbers; else UserError."""
    how = f"write it with numpy.savez(FILE, {', '.join(f'{name}={name}' for name in needed)})"
    try:
        with open(path, "rb") as file:
            archive = np.load(file, allow_pickle=False)
            if not isinstance(archive, np.lib.npyio.NpzFile):
                raise ValueError("it holds a single array, as numpy.save writes it")
            missing = [SHAPES[name] for name in needed if name not in archive]
            there = ", ".join(archive.files) or "none"
            arrays = {name: _array(path, name, archive) for name in (*needed, *optional) if name in archive}
    except UserError:
        raise
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile, zlib.error, NotImplementedError) as error:
        why = getattr(error, "strerror", None) or str(error)
        # NumPy takes any other file for pickled objects.
        if "allow_pickle" in why or isinstance(error, KeyError):
            why = "it is not one"
        raise UserError(f"{path}: cannot be read as .npz ({why}); {how}") from error
    require(not missing, f"{path}: holds no array {', '.join(missing)}, but {there}; {how}")
    return arrays


def as_vectors(arrays: Arrays) -> Arrays:
    """The arrays with PyTorch's shapes z (1, d1), y (N, 1), b (1, d1), and (1,) for a number, made ours."""
    result = dict(arrays)
    for name, values in arrays.items():
        if name in ("c", "rho", "threshold") and values.size == 1:
            result[name] = values.reshape(())
        elif values.ndim == 2 and ((name in "zb" and len(values) == 1) or (name == "y" and values.shape[1] == 1)):
            result[name] = values.reshape(-1)
    return result


def refuse_missing_folder(path: Path, option: str) -> None:
    """UserError where write_arrays will find no folder: said before minutes of work, not after."""
    why = "its folder does not exist"
    require(path.absolute().parent.is_dir(), f"{option} {path}: cannot be written ({why}); choose another --{option}")


def write_arrays(path: Path, option: str, arrays: Writable) -> None:
    """Write an .npz, or raise UserError; `option` is the command line's option that gave the path."""
    try:
        write_atomically(path, to_bytes(arrays))
    except OSError as error:
        raise UserError(f"{option} {path}: cannot be written ({error.strerror}); choose another --{option}") from error


def _array(path: Path, name: str, archive: Mapping[str, np.ndarray]) -> np.ndarray:
    try:
        values = archive[name]
    except ValueError as error:
        # An array of objects. NumPy's message says how to load it, which would execute code in the file.
        raise UserError(f"{path}: {name} holds Python objects; convert it to an array of real numbers") from error
    real = isinstance(values, np.ndarray) and values.dtype.kind in "biuf"
    require(real, f"{path}: {name} holds entries that are not real numbers; convert them")
    return values
