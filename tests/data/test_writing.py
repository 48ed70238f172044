"""Whatever ends a writer, nothing half-written is left that a later run would take for good; an older copy stays."""

import errno
import fcntl
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from mnnjax.cli import data as command
from mnnjax.data import import_data, open_stored
from mnnjax.data.source import Source
from mnnjax.errors import UserError
from tests import small_sets
from tests.small_sets import assert_holds, draw, names_in, source_that, write_idx


@pytest.fixture
def files(tmp_path) -> Path:
    return write_idx(tmp_path / "in", draw("mnist"))


def test_a_killed_writer_leaves_nothing_that_is_taken_for_good(tmp_path, files):
    code = f"""
import os, signal
from tests.small_sets import source_that
from mnnjax.data import import_data, preparing
preparing.detect = lambda *_: source_that(lambda: os.kill(os.getpid(), signal.SIGKILL))
import_data("mnist", ".", {str(tmp_path / "kept")!r})
"""
    environment = os.environ | {"PYTHONPATH": str(Path(small_sets.__file__).parents[1])}
    run = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert run.returncode == -signal.SIGKILL, run.stderr
    (part,) = names_in(tmp_path / "kept")
    assert part.endswith(".part")
    with pytest.raises(UserError, match="no mnist in"):
        open_stored("mnist", tmp_path / "kept")
    import_data("mnist", files, tmp_path / "kept")
    assert names_in(tmp_path / "kept") == {"mnist"}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_request_clears_up(tmp_path, monkeypatch, capsys, number):
    monkeypatch.setattr("mnnjax.data.preparing.detect", lambda *_: source_that(lambda: os.kill(os.getpid(), number)))
    before = signal.getsignal(number)
    assert command.main(["import", "mnist", "--from", str(tmp_path), "--data-dir", str(tmp_path / "kept")]) == 75
    assert f"{number.name}: stopped, no incomplete files are left" in capsys.readouterr().out
    assert not names_in(tmp_path / "kept")
    assert signal.getsignal(number) is before


def fail(error: BaseException):
    def act(*_):
        raise error

    return act


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), "the disk of .* is full; make room"),
        (OSError(errno.EDQUOT, os.strerror(errno.EDQUOT)), "the disk of .* is full; make room"),
        (OSError(errno.EIO, os.strerror(errno.EIO)), "Input/output error; nothing is kept"),
    ],
)
def test_an_error_of_the_disk_is_one_line_and_the_older_copy_stays(tmp_path, files, monkeypatch, error, words):
    import_data("mnist", files, tmp_path / "kept")
    monkeypatch.setattr("mnnjax.data.writing._sync", fail(error))
    with pytest.raises(UserError, match=words):
        import_data("mnist", files, tmp_path / "kept", force=True)
    assert names_in(tmp_path / "kept") == {"mnist"}
    assert_holds(open_stored("mnist", tmp_path / "kept", verify=True), draw("mnist"))


def test_any_other_error_clears_up_too(tmp_path, monkeypatch):
    monkeypatch.setattr("mnnjax.data.preparing.detect", lambda *_: source_that(fail(KeyboardInterrupt())))
    with pytest.raises(KeyboardInterrupt):
        import_data("mnist", tmp_path, tmp_path / "kept")
    assert not names_in(tmp_path / "kept")


def test_when_the_last_step_fails_the_older_copy_is_back(tmp_path, files, monkeypatch):
    import_data("mnist", files, tmp_path / "kept")
    rename = os.rename

    def rename_but_not_new(old, new):
        if str(old).endswith(".new.part"):
            raise PermissionError(errno.EACCES, "Permission denied", str(new))
        rename(old, new)

    monkeypatch.setattr("os.rename", rename_but_not_new)
    with pytest.raises(UserError, match="mnist cannot be used: Permission denied"):
        import_data("mnist", files, tmp_path / "kept", force=True)
    assert_holds(open_stored("mnist", tmp_path / "kept", verify=True), draw("mnist"))
    assert names_in(tmp_path / "kept") == {"mnist"}


def test_too_little_room_is_told_before_anything_is_written(tmp_path, files, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=5000))
    with pytest.raises(UserError) as error:
        import_data("mnist", files, tmp_path / "kept")
    assert str(error.value) == (
        f"mnist needs 1.1 MB in {tmp_path / 'kept'}, 5.0 kB are free; make room, or give another --data-dir"
    )
    assert not names_in(tmp_path / "kept")


def test_a_sound_copy_is_left_alone_unless_forced(tmp_path, files):
    import_data("mnist", files, tmp_path / "kept")
    other = write_idx(tmp_path / "other", draw("mnist", seed=1))
    said = []
    assert_holds(import_data("mnist", other, tmp_path / "kept", say=said.append), draw("mnist"))
    assert said == [f"mnist: already in {tmp_path / 'kept/mnist'}, verified; --force writes it again"]
    older = open_stored("mnist", tmp_path / "kept").images("train")
    forced = import_data("mnist", other, tmp_path / "kept", force=True)
    assert_holds(forced, draw("mnist", seed=1))
    assert names_in(tmp_path / "kept") == {"mnist"}
    # Who has the older copy mapped goes on with that.
    np.testing.assert_array_equal(older, draw("mnist")["train"][0].reshape(12, -1))


def test_a_damaged_copy_is_replaced(tmp_path, files):
    import_data("mnist", files, tmp_path / "kept")
    with open(tmp_path / "kept/mnist/train_images.npy", "r+b") as file:
        file.seek(-1, os.SEEK_END)
        file.write(b"?")
    said = []
    import_data("mnist", files, tmp_path / "kept", say=said.append)
    assert f"the copy in {tmp_path / 'kept/mnist'} is damaged and will be replaced" in said[0]
    assert_holds(open_stored("mnist", tmp_path / "kept", verify=True), draw("mnist"))


@pytest.mark.parametrize("force", [False, True])
def test_a_folder_of_the_users_own_is_never_replaced(tmp_path, force):
    files = write_idx(tmp_path / "mnist", draw("mnist"))
    with pytest.raises(UserError, match=r"holds other files \(t10k-images-idx3-ubyte, .* give another --data-dir"):
        import_data("mnist", files, tmp_path, force=force)
    assert len(list(files.iterdir())) == 4
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept/mnist").write_text("mine")
    with pytest.raises(UserError, match="is no folder"):
        import_data("mnist", files, tmp_path / "kept", force=force)


def test_only_one_process_writes_a_set(tmp_path, files):
    (tmp_path / "kept").mkdir()
    part = tmp_path / "kept/.mnist.1.new.part"
    part.mkdir()
    with open(tmp_path / "kept/.mnist.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(UserError, match=r"another process is writing mnist in .*; wait for it, or stop it"):
            import_data("mnist", files, tmp_path / "kept")
        assert part.exists()
        import_data("fashion_mnist", files, tmp_path / "kept")
    import_data("mnist", files, tmp_path / "kept")
    assert names_in(tmp_path / "kept") == {"mnist", "fashion_mnist"}


def test_a_data_dir_that_cannot_be_is_one_line(tmp_path, files):
    (tmp_path / "file").write_text("")
    for data_dir in (tmp_path / "file", tmp_path / "file/below"):
        with pytest.raises(UserError, match=r"^mnist: .*(File exists|Not a directory)"):
            import_data("mnist", files, data_dir)


def test_a_source_that_gives_other_counts_than_it_announced(tmp_path, monkeypatch):
    source = source_that(lambda: None)
    wrong = Source(source.words, {"train": 6, "test": 7}, source.blocks)
    monkeypatch.setattr("mnnjax.data.preparing.detect", lambda *_: wrong)
    with pytest.raises(UserError, match="the test images announce 7 test images, 6 are there"):
        import_data("mnist", tmp_path, tmp_path / "kept")
    assert not names_in(tmp_path / "kept")
