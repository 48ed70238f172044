"""Errors of the system, in one line."""

import errno
import os

import numpy as np
import pytest

from mnnjax.cli import entry as cli


@pytest.mark.parametrize(
    ("number", "code", "words"),
    [
        (errno.EACCES, 2, "/x/report.html: cannot be used (Permission denied); choose another"),
        (errno.EROFS, 2, "/x/report.html: cannot be used (Read-only file system); choose another"),
        (errno.ENOSPC, 1, "the disk of /x/report.html is full; free some space"),
    ],
)
def test_files_that_the_system_refuses_are_told_in_one_line(monkeypatch, capsys, number, code, words):
    def refuse(arguments):
        raise OSError(number, os.strerror(number), "/x/report.html")

    monkeypatch.setitem(cli.COMMANDS, "report", refuse)
    assert cli.main(["report", "x"]) == code
    error = capsys.readouterr().err
    assert error.startswith(f"mnnjax: {words}")
    assert error.count("\n") == 1


def test_points_that_memory_cannot_hold_are_one_line(monkeypatch, capsys):
    def allocate(arguments):
        np.ones(2**50)

    monkeypatch.setitem(cli.COMMANDS, "construct", allocate)
    assert cli.main(["construct"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("mnnjax: needs more memory than there is (Unable to allocate")
    assert error.endswith("); give fewer points\n")
    assert error.count("\n") == 1


def test_other_errors_of_the_system_are_not_hidden(monkeypatch):
    def refuse(arguments):
        raise OSError(errno.EIO, "broken")

    monkeypatch.setitem(cli.COMMANDS, "report", refuse)
    with pytest.raises(OSError, match="broken"):
        cli.main(["report", "x"])
