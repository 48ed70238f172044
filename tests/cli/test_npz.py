"""construct and certify report the same errors of a user's .npz."""

import io
import zipfile

import numpy as np
import pytest

from mnnjax import cli
from mnnjax.landscape import global_minimum

X = np.random.default_rng(0).standard_normal((9, 4))
y = np.arange(9) % 2.0
W, z = global_minimum(X, y, rho=0.0)
WHOLE = {"W": W, "z": z, "X": X, "y": y}


def npz(*unnamed, **arrays) -> bytes:
    content = io.BytesIO()
    np.savez(content, *unnamed, **arrays)
    return content.getvalue()


def foreign() -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("X.npy", "no array")
        archive.writestr("readme.txt", "no array")
    return content.getvalue()


def one() -> bytes:
    content = io.BytesIO()
    np.save(content, X)
    return content.getvalue()


@pytest.fixture(params=["construct", "certify"])
def error_of(request, tmp_path, monkeypatch, capsys):
    """The line that a command prints about a file, with exit code 2 and nothing written."""
    monkeypatch.chdir(tmp_path)

    def call(content: bytes | None) -> str:
        if content is not None:
            (tmp_path / "mine.npz").write_bytes(content)
        before = sorted(tmp_path.iterdir())
        source = ["--input", "mine.npz", "--output", "out.npz"] if request.param == "construct" else ["mine.npz"]
        assert cli.main([request.param, *source, "--rho", "0"]) == 2
        assert sorted(tmp_path.iterdir()) == before
        told = capsys.readouterr()
        assert (told.out, told.err.count("\n")) == ("", 1)
        assert told.err.startswith("mnnjax: mine.npz: ")
        return told.err.removeprefix("mnnjax: mine.npz: ")

    return call


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "cannot be read as .npz (No such file or directory)"),
        (b"", "cannot be read as .npz (No data left in file)"),
        (b"some text", "cannot be read as .npz (it is not one)"),
        (npz(**WHOLE)[:300], "cannot be read as .npz (File is not a zip file)"),
        (
            npz(**WHOLE).replace(X[3].tobytes(), X[4].tobytes(), 1),
            "cannot be read as .npz (Bad CRC-32 for file 'X.npy')",
        ),
        (one(), "cannot be read as .npz (it holds a single array, as numpy.save writes it)"),
        (foreign(), "X holds entries that are not real numbers"),
        (npz(), "X (N, d0), y (N,), but none; write it with numpy.savez(FILE, "),
        (npz(X, y), "X (N, d0), y (N,), but arr_0, arr_1; write it with"),
        (npz(W=W, z=z, X=X), "holds no array y (N,), but W, z, X; write it with"),
        (npz(**WHOLE | {"X": X.astype(object)}), "X holds Python objects; convert it to an array of real numbers"),
        (npz(**WHOLE | {"X": X.astype(str)}), "X holds entries that are not real numbers"),
        (npz(**WHOLE | {"X": X + 1j}), "X holds entries that are not real numbers"),
    ],
)
def test_files_that_cannot_be_used(error_of, content, words):
    assert words in error_of(content)


@pytest.mark.parametrize("shape", [(9,), (9, 1)])
def test_labels_may_be_a_column(tmp_path, shape, capsys):
    (tmp_path / "mine.npz").write_bytes(npz(X=X, y=y.reshape(shape)))
    assert cli.main(["construct", "--input", str(tmp_path / "mine.npz"), "--output", str(tmp_path / "out.npz")]) == 0
    assert cli.main(["certify", str(tmp_path / "out.npz")]) == 0
    assert "global_minimum" in capsys.readouterr().out


@pytest.mark.parametrize("sizes", [["--N", "9"], ["--d0", "4", "--seed", "1"]])
def test_points_of_a_file_and_sizes_of_others_contradict(tmp_path, sizes, capsys):
    (tmp_path / "mine.npz").write_bytes(npz(X=X, y=y))
    arguments = ["--input", str(tmp_path / "mine.npz"), "--output", str(tmp_path / "out.npz")]
    assert cli.main(["construct", *arguments, *sizes]) == 2
    named = ", ".join(word for word in sizes if word.startswith("--"))
    error = f"mnnjax: construct: --input has its own points, and {named} would draw others; give one or the other\n"
    assert capsys.readouterr().err == error
    assert not (tmp_path / "out.npz").exists()


def test_an_output_that_cannot_be_written_leaves_nothing(tmp_path, capsys):
    (tmp_path / "folder").mkdir()
    assert cli.main(["construct", "--output", str(tmp_path / "folder")]) == 2
    assert "cannot be written (Is a directory); choose another --output" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]
