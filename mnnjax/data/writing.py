"""Writing a data set: block by block into a folder beside its place, which is moved there when it is complete."""

import contextlib
import fcntl
import hashlib
import io
import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from mnnjax.data.sets import DATA_SETS, DataSet
from mnnjax.data.source import Source, one_line
from mnnjax.data.store import FILES, MANIFEST, Stored, open_stored
from mnnjax.errors import DISK_FULL, UserError, require
from mnnjax.wording import size

# Bytes left free on the disk.
SPARE_BYTES = 1 << 20


def keep(
    data_set: DataSet, data_dir: Path, open_source: Callable[[], contextlib.AbstractContextManager[Source]],
    force: bool, say: Callable[[str], None],
) -> Stored:  # fmt: skip
    """Write the data set that `open_source` opens; a valid copy is replaced only with `force`. UserError from
    `open_source` and `write`, and where another process writes the set. Then an older copy stays."""
    with sole_writer(data_set, data_dir):
        if _is_kept(data_set, data_dir, force, say):
            return open_stored(data_set.name, data_dir)
        with open_source() as source:
            write(data_set, source, data_dir, say)
        stored = open_stored(data_set.name, data_dir)
    for split, published in data_set.published.items():
        if (count := stored.counts[split]) != published:
            say(f"note: {count} {split} images, {published} expected; what is there is kept")
    say(f"{data_set.name}: {size(stored.bytes)} in {stored.path}, from {stored.source}")
    return stored


def exists_already(place: Path) -> str:
    """The error for a user's set where there is one of that name; unlike a published one it may hold anything."""
    return f"{place} exists already; import it under another name, or replace it with --force"


def _is_kept(data_set: DataSet, data_dir: Path, force: bool, say: Callable[[str], None]) -> bool:
    place = data_dir / data_set.name
    if not os.path.lexists(place):
        return False
    require(place.is_dir(), f"{place} is no folder; move it, or give another --data-dir")
    known = {MANIFEST, *(name for pair in FILES.values() for name in pair)}
    others = sorted(path.name for path in place.iterdir() if path.name not in known)  # a user's own
    require(not others, f"{place} holds other files ({', '.join(others[:3])}); move it, or give another --data-dir")
    if force:
        return False
    require(data_set.name in DATA_SETS, exists_already(place))
    try:
        open_stored(data_set.name, data_dir, verify=True)
    except UserError:
        say(f"{data_set.name}: the copy in {place} is damaged and will be replaced")
        return False
    say(f"{data_set.name}: already in {place}, verified; --force writes it again")
    return True


@contextlib.contextmanager
def sole_writer(data_set: DataSet, data_dir: Path) -> Iterator[None]:
    """Hold the data set's lock, which the system frees however the process ends, and remove what killed processes left.
    UserError where another process holds it, and for any OSError within."""
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        with open(data_dir / f".{data_set.name}.lock", "a") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                busy = f"another process is writing {data_set.name} in {data_dir}"
                raise UserError(f"{busy}; wait for it, or stop it") from error
            for leftover in data_dir.glob(f".{data_set.name}.*.part"):
                shutil.rmtree(leftover)
            yield
    except OSError as error:
        if error.errno in DISK_FULL:
            full = f"the disk of {data_dir} is full; make room, or give another --data-dir"
            raise UserError(f"{data_set.name}: {full}") from error
        where, why = error.filename or data_dir, error.strerror or one_line(error)
        raise UserError(f"{data_set.name}: {where} cannot be used: {why}; nothing is kept") from error


@contextlib.contextmanager
def part_folder(data_set: DataSet, data_dir: Path, purpose: str) -> Iterator[Path]:
    """A new folder beside the data set's place, removed at the end unless it was moved; within `sole_writer`."""
    part = data_dir / f".{data_set.name}.{os.getpid()}.{purpose}.part"
    try:
        part.mkdir()
        yield part
    finally:
        shutil.rmtree(part, ignore_errors=True)


def require_room(data_set: DataSet, data_dir: Path, needed: int) -> None:
    """Raise UserError unless `needed` bytes are free in the folder of the data sets."""
    free = shutil.disk_usage(data_dir).free
    needed += SPARE_BYTES
    lack = f"{data_set.name} needs {size(needed)} in {data_dir}, {size(free)} are free"
    require(free >= needed, f"{lack}; make room, or give another --data-dir")


def write(data_set: DataSet, source: Source, data_dir: Path, say: Callable[[str], None]) -> None:
    """Write the data set's arrays and manifest, in place of an older copy; within `sole_writer`. UserError for too
    little disk space, a damaged source or an invalid label. Then an older copy stays."""
    for split in data_set.published:
        require(source.counts[split] > 0, f"{data_set.name}: the {source.words} hold no {split} images")
    require_room(data_set, data_dir, data_set.bytes(source.counts))
    is_image = data_set.dtype == "uint8"
    with part_folder(data_set, data_dir, "new") as part:
        files = {}
        for split in data_set.published:
            say(f"{data_set.name}: writing {source.counts[split]} {split} {'images' if is_image else 'points'}")
            files |= _write_split(data_set, source, split, part)
        manifest = {
            "name": data_set.name, "source": source.words, "image_shape": data_set.image_shape,
            "classes": data_set.classes, "dtype": data_set.dtype, "files": files,
        }  # fmt: skip
        with open(part / MANIFEST, "w", encoding="utf-8") as file:
            file.write(json.dumps(manifest, indent=1) + "\n")
            _sync(file)
        _put_in_place(data_set, part, data_dir)


def _write_split(data_set: DataSet, source: Source, split: str, folder: Path) -> dict[str, dict]:
    images, labels = FILES[split]
    count, done = source.counts[split], 0
    with (
        _Array(folder / images, np.dtype(data_set.dtype), (count, data_set.pixels)) as X,
        _Array(folder / labels, data_set.label_dtype, (count,)) as y,
    ):
        for rows, classes in source.blocks(split):
            classes = np.asarray(classes)
            wrong = np.flatnonzero((classes < 0) | (classes >= data_set.classes))
            if wrong.size:
                first = f"image {done + wrong[0]} of {split} has class {classes[wrong[0]]}"
                most = data_set.classes - 1
                raise UserError(f"{data_set.name}: {first}, not one of 0 to {most}; is this another data set?")
            X.append(rows)
            y.append(classes)
            done += len(rows)
        require(done == count, f"{data_set.name}: the {source.words} announce {count} {split} images, {done} are there")
        return {images: X.finish(), labels: y.finish()}


class _Array(contextlib.AbstractContextManager):
    """An .npy file written block by block; not memory-mapped, since a full disk would kill the process."""

    def __init__(self, path: Path, dtype: np.dtype, shape: tuple[int, ...]):
        self._file = open(path, "wb")  # noqa: SIM115
        self._digest = hashlib.sha256()
        self._dtype, self._shape = dtype, shape
        header = io.BytesIO()
        fields = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(header, fields)
        self._put(header.getvalue())

    def __exit__(self, *_) -> None:
        self._file.close()

    def append(self, rows: np.ndarray) -> None:
        self._put(np.ascontiguousarray(rows, self._dtype).reshape(-1).view(np.uint8).data)

    def finish(self) -> dict:
        """Sync the file to the disk; returns its entry of the manifest."""
        _sync(self._file)
        return {"bytes": self._file.tell(), "sha256": self._digest.hexdigest(), "shape": self._shape}

    def _put(self, content: bytes | memoryview) -> None:
        self._file.write(content)
        self._digest.update(content)


def _put_in_place(data_set: DataSet, part: Path, data_dir: Path) -> None:
    place = data_dir / data_set.name
    _sync_folder(part)
    with part_folder(data_set, data_dir, "old") as old:
        try:
            if os.path.lexists(place):
                os.rename(place, old / "copy")
            os.rename(part, place)
        except BaseException:
            if not os.path.lexists(place) and os.path.lexists(old / "copy"):
                os.rename(old / "copy", place)
            raise
        _sync_folder(data_dir)


def _sync(file) -> None:
    file.flush()
    os.fsync(file.fileno())


def _sync_folder(path: Path) -> None:
    number = os.open(path, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)
