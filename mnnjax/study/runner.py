"""Runs a study cell by cell: goes on from where it stopped, and stops when asked to."""

import contextlib
import errno
import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path

from threadpoolctl import threadpool_limits

from mnnjax import jax_setup
from mnnjax.checks import DISK_FULL
from mnnjax.config import Study, UserError
from mnnjax.study import plan, progress
from mnnjax.study.results import Workdir
from mnnjax.study.sources import Sources
from mnnjax.study.stopping import Stopped, stop_request
from mnnjax.study.train_cell import run_training_cell
from mnnjax.study.volumes import run_volume_cell
from mnnjax.training import check_optimizer

__all__ = ["Stopped", "StudyError", "run_study"]

# Seconds between two writes of results.csv while cells finish.
COLLECT_SECONDS = 5.0


class StudyError(RuntimeError):
    """The study cannot go on, through no fault of its config: one line that says why (exit code 1)."""


def run_study(study: Study, path: Path | str, data_dir: Path | None = None) -> None:
    """Train all cells of the study that `path` does not hold yet, and leave results.csv there.

    data_dir: where `mnnjax data` keeps image data; None is its default folder.

    Raises:
      UserError: the folder belongs to another study, another process is at work in it, or data are missing.
      StudyError: the disk is full.
      Stopped: SIGTERM or SIGINT came; the state is saved, and the same call goes on from it.
    """
    jax_setup.use_all_cores()
    workdir = Workdir(path)
    plan.cells(study)
    for part in study.parts:
        if part.train is not None:
            check_optimizer(part.train)
    # Before the lock is made, so that nothing is left in a folder that is not ours.
    workdir.check(study)
    # One BLAS thread a seed: seeds share the cores, and the last bits do not depend on how many there are.
    one_thread = threadpool_limits(limits=1, user_api="blas")
    with _clear_disk_errors(workdir), _sole_user(workdir), stop_request() as stop_requested, one_thread:
        workdir.claim(study)
        sources = Sources(workdir, data_dir, progress.tell)
        cells = plan.cells(study, sources.shape)
        finished = [cell for cell in cells if workdir.is_finished(cell.id)]
        workdir.collect(c.id for c in cells)
        workdir.log("start", cells=len(cells), finished=len(finished))
        collected = time.monotonic()
        try:
            with progress.make_progress(cells, finished) as shown:
                for cell in cells:
                    if not workdir.is_finished(cell.id):
                        run = run_training_cell if cell.part.volume is None else run_volume_cell
                        run(cell, workdir, sources, shown, stop_requested)
                    # Not after every cell: there may be thousands, of a fraction of a second each.
                    if time.monotonic() - collected > COLLECT_SECONDS:
                        workdir.collect(c.id for c in cells)
                        collected = time.monotonic()
        finally:
            workdir.collect(c.id for c in cells)
        workdir.log("end")


@contextlib.contextmanager
def _sole_user(workdir: Workdir) -> Iterator[None]:
    """Hold the folder's lock; the system frees it when the process ends, however it ends."""
    try:
        workdir.path.mkdir(parents=True, exist_ok=True)
        lock = open(workdir.path / "lock", "a+")  # noqa: SIM115
    except (FileExistsError, NotADirectoryError, PermissionError) as error:
        raise UserError(f"{workdir.path} cannot be used as a work folder ({error.strerror}); choose another") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            lock.seek(0)
            raise UserError(
                f"another process ({lock.read().strip() or 'unknown'}) is at work in {workdir.path}; "
                "wait for it, stop it, or choose another --workdir"
            ) from error
        lock.truncate(0)
        lock.write(f"process {os.getpid()} on {os.uname().nodename}\n")
        lock.flush()
        yield


@contextlib.contextmanager
def _clear_disk_errors(workdir: Workdir) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        # TensorStore wraps the system's error in its own, as text.
        full = getattr(error, "errno", None) in DISK_FULL
        if full or os.strerror(errno.ENOSPC) in str(error):
            raise StudyError(
                f"the disk of {workdir.path} is full; finished cells are kept: free some space and run the same "
                "command again"
            ) from error
        raise
