"""What every format of a data set is turned into before it is written: its counts, and blocks of rows."""

import contextlib
import dataclasses
import io
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

import numpy as np
from jaxtyping import Integer, Real, UInt8

from mnnjax.errors import UserError, require

Block = tuple[Real[np.ndarray, "rows pixels"], Integer[np.ndarray, " rows"]]
"""Images, uint8, each flattened height-width-channel, or a user's points, and their labels."""

BLOCK_BYTES = 1 << 23


@dataclasses.dataclass(frozen=True)
class Source:
    """A data set that lies somewhere in some format."""

    words: str
    """What it is, in words; no paths."""
    counts: dict[str, int]
    """Images of the splits train and test, as the format declares them."""
    blocks: Callable[[str], Iterator[Block]]
    """The rows of a split, in order, block by block; raises UserError where a file is damaged."""


def complete(folder: Path, places: Mapping[str, Iterable[Path]]) -> dict[str, Path] | None:
    """The files of a format by name, each at the first of its places that has it; None where no file is there,
    UserError where only some are."""
    found = {name: [path for path in paths if path.is_file()] for name, paths in places.items()}
    if not any(found.values()):
        return None
    for name, paths in found.items():
        require(bool(paths), f"{folder} lacks {name}; put it there")
    return {name: paths[0] for name, paths in found.items()}


def block_rows(row_bytes: int) -> int:
    """The number of rows of row_bytes bytes each in a block."""
    return max(1, BLOCK_BYTES // row_bytes)


def read_rows(
    file: io.BufferedIOBase, path: Path, rows: int, row_bytes: int
) -> Iterator[UInt8[np.ndarray, "block_rows row_bytes"]]:
    """Exactly `rows` rows of row_bytes bytes each, block by block; UserError unless the file ends there."""
    done = 0
    while done < rows:
        count = min(block_rows(row_bytes), rows - done)
        content = file.read(count * row_bytes)
        if len(content) < count * row_bytes:
            raise UserError(f"{path} is cut short: {rows} rows announced, {done + len(content) // row_bytes} there")
        done += count
        yield np.frombuffer(content, np.uint8).reshape(count, row_bytes)
    # Reading on to the end also makes the gzip and zip readers compare their checksum.
    require(not file.read(1), f"{path} goes on after the {rows} rows that its header announces; fetch it again")


def with_labels(
    blocks: Iterator[UInt8[np.ndarray, "block_rows pixels"]], labels: Integer[np.ndarray, " images"]
) -> Iterator[Block]:
    """Each block of images with its part of all the labels."""
    start = 0
    for block in blocks:
        yield block, labels[start : start + len(block)]
        start += len(block)


def to_rows(
    planar: UInt8[np.ndarray, "images pixels"], image_shape: tuple[int, ...]
) -> UInt8[np.ndarray, "images pixels"]:
    """Images flattened channel-height-width, one plane per channel, flattened height-width-channel instead; image_shape
    is (height, width, channels)."""
    height, width, channels = image_shape
    return planar.reshape(-1, channels, height, width).transpose(0, 2, 3, 1).reshape(len(planar), -1)


def one_line(error: object) -> str:
    """An error's text on one line."""
    return " ".join(str(error).split()) or type(error).__name__


@contextlib.contextmanager
def damage_named(path: Path) -> Iterator[None]:
    """Turn what the readers of a damaged file raise into a UserError that names the file."""
    try:
        yield
    except UserError:
        raise
    except OSError as error:
        # An error without the system's words comes from the gzip reader.
        reason = error.strerror or f"{one_line(error)}; fetch it again"
        raise UserError(f"{path} cannot be read: {reason}") from error
    except (EOFError, ValueError, NotImplementedError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
        raise UserError(f"{path} is damaged or cut short ({one_line(error)}); fetch it again") from error
