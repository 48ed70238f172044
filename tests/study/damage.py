"""What a bad disk or a killed machine does to files."""

from pathlib import Path

from tests.small_sets import flip


def largest_file(folder: Path) -> Path:
    """Of a folder and those inside it: of a checkpoint's step, the one with the arrays."""
    return max((p for p in folder.rglob("*") if p.is_file()), key=lambda p: p.stat().st_size)


def flip_a_byte(file: Path) -> None:
    flip(file, len(file.read_bytes()) // 2)


def truncate(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:99])
