"""Runs a study, cell by cell: opens its folder, checks that it can run, trains what is missing, collects the rows."""

import contextlib
import errno
import os
import time
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

import jax
from threadpoolctl import threadpool_limits

from mnnjax import jax_setup
from mnnjax.config import Study, UserError, to_dict
from mnnjax.errors import DISK_FULL
from mnnjax.study import mirrors
from mnnjax.study.distributed import processes
from mnnjax.study.distributed.stopping import Stopped, stop_request
from mnnjax.study.execution import progress
from mnnjax.study.execution.chunks import Context
from mnnjax.study.execution.continuing import pieces
from mnnjax.study.execution.descent_workers import go_down
from mnnjax.study.execution.images import Sources, recorded_cells, unwhitened
from mnnjax.study.execution.train_cell import run_training_cell
from mnnjax.study.execution.volume_cell import run_volume_cell
from mnnjax.study.plan import grid as plan
from mnnjax.study.plan.grid import Cell
from mnnjax.study.plan.growth import describe_growth
from mnnjax.study.plan.shard import Shard
from mnnjax.study.resources.machine import machine
from mnnjax.study.resources.memory_check import require_fit
from mnnjax.study.result import Result
from mnnjax.study.workdir.lock import StudyError
from mnnjax.study.workdir.storage import AnyPath
from mnnjax.study.workdir.workdir import NonWritingWorkdir, Workdir
from mnnjax.wording import of, plural
from mnnjax.workers import Workers

__all__ = ["Stopped", "StudyError", "run_study"]

# Seconds between two writes of results.csv while cells finish.
COLLECT_SECONDS = 5.0


def run_study(
    study: Study, path: AnyPath | str, data_dir: Path | None = None, shard: Shard | None = None, command: str = "",
    data: tuple[Any, Any] | None = None, loggers: Sequence[mirrors.Logger] = (),
) -> Result:  # fmt: skip
    """Train all cells of the study that `path` does not hold yet, and write results.csv there.

    A study may be larger than the one that the folder belongs to: more repeats, more values in its grids, more studies
    in `also`, or more train.epochs where the learning rate is constant. Only what is new is trained then, and results
    are those of the larger study run at once (plan/growth.py says what that rests on).

    Args:
      path: a local folder, or gs://BUCKET/NAME.
      data_dir: where `mnnjax data` keeps image data; None is its default folder.
      shard: only its cells, in its own folder below `path`; those that any folder of the study holds are not trained
        again.
      command: what the user called, for the log.
      data: X (N, d0), real, or images (N, height, width[, channels]), uint8; and y (N,), for Problem(inputs="file")
        without a path. The folder keeps their checksum, and not the data: give them again to resume.
      loggers: "tensorboard", "wandb" or both, which mirror metrics.jsonl in the folders of these names.

    Returns:
      What the folder holds then: the study's rows, networks and figure; of a shard, its own.

    Raises:
      UserError: the folder belongs to another study or other data, another process is at work in it, data are missing
        or wrong, or a problem does not fit into the devices.
      StudyError: the disk is full, or another process took the folder over.
      Stopped: SIGTERM or SIGINT came; the state is saved, and the same call resumes from it.
    """
    jax_setup.use_all_cores()
    processes.require_same(to_dict(study) | {"shard": shard and str(shard)})
    workdir = processes.together(lambda: _open(study, path, shard))
    processes.together(lambda: mirrors.check(loggers, workdir.path))
    tell = progress.tell if processes.is_writer() else progress.say_nothing
    sources = Sources(workdir, data_dir, tell, data)
    # Before the folder is made: nothing is left in that of a study that cannot run.
    planned, cells, growth = processes.from_writer(lambda: _plan(study, workdir, sources))
    # One BLAS thread per seed: seeds share the cores, and the last bits do not depend on how many there are.
    one_thread = threadpool_limits(limits=1, user_api="blas")
    with _clear_disk_errors(workdir), contextlib.ExitStack() as stack, one_thread:
        processes.together(lambda: stack.enter_context(workdir.sole_user(tell)))
        stop_requested = stack.enter_context(stop_request())
        processes.together(lambda: workdir.claim(study, planned))
        if growth:
            tell(f"{study.name} grows: {growth}")
            workdir.log("grow", text=growth)
        if any(part.problem.is_image for part in study.parts):
            # d0 is known after whitening, which the folder keeps; another shard may have whitened meanwhile.
            for problem in processes.from_writer(lambda: unwhitened(workdir, study)):
                sources.get(problem)
            cells = processes.from_writer(lambda: recorded_cells(workdir, study))
        for text in processes.from_writer(lambda: workdir.set_aside_damaged(cells)):
            tell(f"warning: {text}")
            workdir.log("warning", text=text)
        done = processes.from_writer(lambda: {cell.id for cell in workdir.finished(cells)})
        workdir.collect(cells)
        counts = {"cells": len(cells), "finished": len(done), "processes": jax.process_count()}
        workdir.log("start", **counts, command=command, seed=study.seed, **machine())
        if processes.is_writer() and isinstance(workdir.path, Path):
            stack.enter_context(mirrors.mirroring(workdir.path, loggers, tell))
        tell(_first_line(study, cells, len(done), workdir))
        finished = [cell for cell in cells if cell.id in done]
        left = processes.from_writer(lambda: workdir.left(cells))
        with progress.make_progress([*finished, *left], finished, quiet=not processes.is_writer()) as shown:
            workers = stack.enter_context(Workers(go_down))
            _run_cells(cells, done, Context(workdir, sources, shown, stop_requested, workers))
        if processes.is_writer() and (hint := _hint(cells, done, workdir)):
            tell(hint)
        workdir.log("end")
    return Result(workdir.path, data_dir, data)


def _open(study: Study, path: AnyPath | str, shard: Shard | None) -> Workdir:
    """The study's folder, which is not made or changed yet."""
    for part in study.parts:
        if part.volume is not None and jax.process_count() > 1:
            hint = "give each --shard I/N instead"
            raise UserError(f"volume: several processes cannot share the volumes of {part.name}; {hint}")
    workdir = (Workdir if processes.is_writer() else NonWritingWorkdir)(path, shard)
    if (inside := workdir.shard) != shard:
        hint = f"give --workdir {workdir.home} and --shard {inside}"
        raise UserError(f"{workdir.path} is the folder of shard {inside}; {hint}")
    workdir.check(study)
    return workdir


def _plan(study: Study, workdir: Workdir, sources: Sources) -> tuple[list[Cell], list[Cell], str]:
    """The cells of a study that can run, those that belong to the folder, and how the study grows there; images have
    the d0 that the folder knows, or the published one. Raises UserError, from plan.check, require_fit or
    Sources.check."""
    planned = plan.check(study, sources.shape)
    before, cells = workdir.before_growth(study, planned), workdir.own_cells(planned)
    left = workdir.left(cells)
    require_fit(left, jax.devices())
    sources.check(study, finished=not left)
    return planned, cells, "" if before is None else describe_growth(before, planned)


def _run_cells(cells: Sequence[Cell], done: Collection[str], context: Context) -> None:
    """Run those that are not done; results.csv is written now and then, and at the end, however it ends."""
    collected = time.monotonic()
    try:
        for cell in cells:
            if cell.id not in done:
                for piece in processes.from_writer(lambda cell=cell: pieces(cell, context)):
                    (run_training_cell if cell.part.volume is None else run_volume_cell)(piece, context)
            # Not after every cell: there may be thousands, of a fraction of a second each.
            if time.monotonic() - collected > COLLECT_SECONDS:
                context.workdir.collect(cells)
                collected = time.monotonic()
    finally:
        context.workdir.collect(cells)


def _first_line(study: Study, cells: Sequence[Cell], finished: int, workdir: Workdir) -> str:
    """What runs, and where."""
    name = f"shard {workdir.shard} of {study.name}" if workdir.shard else study.name
    repetitions = plural(sum(cell.part.repeats for cell in cells), "repetition")
    line = f"{name}: {plural(len(cells), 'cell')}, {repetitions}, in {workdir.path}"
    if cells and finished == len(cells):
        return f"{line}; all finished, nothing to train"
    return f"{line}; {finished} finished" if finished else line


def _hint(cells: Sequence[Cell], done: Collection[str], workdir: Workdir) -> str:
    """What to do where most repetitions of the cells that were trained now are at no minimum yet; '' where they are, or
    go down to one anyway."""
    trained = [c for c in cells if c.id not in done and c.part.train is not None and not c.descents]
    verdicts = [row["verdict"] for row in workdir.rows(trained)]
    count = verdicts.count("not_converged")
    if count <= len(verdicts) / 2:
        return ""
    told = f"{of(count, len(verdicts), 'repetition')} ended at no minimum yet"
    return f"{told}: --train.finish minimum, with another --workdir, goes on down to one"


@contextlib.contextmanager
def _clear_disk_errors(workdir: Workdir) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        # TensorStore wraps the system's error in its own, as text.
        if getattr(error, "errno", None) in DISK_FULL or os.strerror(errno.ENOSPC) in str(error):
            hint = "finished cells are kept: free some space and run the same command again"
            raise StudyError(f"the disk of {workdir.path} is full; {hint}") from error
        raise
