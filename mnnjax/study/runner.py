"""Runs a study cell by cell: goes on from where it stopped, and stops when asked to."""

import contextlib
import errno
import fcntl
import functools
import math
import os
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from threadpoolctl import threadpool_limits

from mnnjax import jax_setup
from mnnjax.config import Study, UserError
from mnnjax.landscape import Certificate
from mnnjax.study import plan, progress, results
from mnnjax.study.checkpoint import CellCheckpoints
from mnnjax.study.plan import Cell
from mnnjax.study.results import Workdir
from mnnjax.study.stopping import Interrupted, Stopped, stop_request
from mnnjax.study.verdicts import certify_seeds
from mnnjax.study.volumes import run_volume_cell, seed_keys
from mnnjax.training import NEWTON, Evaluation, check_optimizer, make_evaluation, make_training

# Of a core's own cache. Measured (tests/benchmarks/README.md): seeds that fit in it together train up to 3 times faster
# together than one after the other (d = 5), seeds that do not up to 1.5 times slower (d = 20, N = 400).
CPU_CACHE_BYTES = 2**19
# Seconds between two writes of results.csv while cells finish.
COLLECT_SECONDS = 5.0


class StudyError(RuntimeError):
    """The study cannot go on, through no fault of its config: one line that says why (exit code 1)."""


def run_study(study: Study, path: Path | str) -> None:
    """Train all cells of the study that `path` does not hold yet, and leave results.csv there.

    Raises:
      UserError: the folder belongs to another study, or another process is at work in it.
      StudyError: the disk is full.
      Stopped: SIGTERM or SIGINT came; the state is saved, and the same call goes on from it.
    """
    jax_setup.use_all_cores()
    workdir = Workdir(path)
    cells = plan.cells(study)
    for part in study.parts:
        if part.train is not None:
            check_optimizer(part.train)
    # Before the lock is made, so that nothing is left in a folder that is not ours.
    workdir.check(study)
    # One BLAS thread a seed: seeds share the cores, and the last bits do not depend on how many there are.
    one_thread = threadpool_limits(limits=1, user_api="blas")
    with _clear_disk_errors(workdir), _sole_user(workdir), stop_request() as stop_requested, one_thread:
        workdir.claim(study)
        finished = [cell for cell in cells if workdir.is_finished(cell.id)]
        workdir.collect(c.id for c in cells)
        workdir.log("start", cells=len(cells), finished=len(finished))
        collected = time.monotonic()
        try:
            with progress.make_progress(cells, finished) as shown:
                for cell in cells:
                    if not workdir.is_finished(cell.id):
                        run = _run_cell if cell.part.volume is None else run_volume_cell
                        run(cell, workdir, shown, stop_requested)
                    # Not after every cell: there may be thousands, of a fraction of a second each.
                    if time.monotonic() - collected > COLLECT_SECONDS:
                        workdir.collect(c.id for c in cells)
                        collected = time.monotonic()
        finally:
            workdir.collect(c.id for c in cells)
        workdir.log("end")


def _run_cell(
    cell: Cell, workdir: Workdir, shown: progress.LineProgress, stop_requested: Callable[[], str | None]
) -> None:
    def warn(text: str) -> None:
        shown.message(f"warning: {text}")
        workdir.log("warning", cell=cell.id, text=text)

    began = time.monotonic()
    train = cell.part.train
    programs = _programs(cell.part, *cell.shape[1:], *_spread(cell))
    seeds, data_seeds = programs.pad((np.asarray(cell.seeds), np.asarray(cell.data_seeds)))
    X, y = programs.draw(programs.keys(data_seeds, cell.data_salt), cell.N)
    training_keys = programs.keys(seeds, cell.training_salt)

    def without_padding(arrays):
        return jax.tree.map(lambda leaf: leaf[: cell.part.repeats], jax.device_get(arrays))

    checkpoints = CellCheckpoints(workdir.checkpoints / cell.id, workdir.checkpoints / "set_aside", warn)
    with contextlib.closing(checkpoints):
        padded = jax.eval_shape(programs.init, training_keys)
        restored = checkpoints.restore(
            jax.tree.map(lambda s: jax.ShapeDtypeStruct((cell.part.repeats, *s.shape[1:]), s.dtype), padded)
        )
        epoch, state = restored or (0, None)
        state = programs.init(training_keys) if state is None else programs.place(programs.pad(state))
        workdir.log("cell_start", cell=cell.id, epoch=epoch)
        shown.cell_started(cell, epoch)
        chunks = 0
        while epoch < train.total_epochs:
            length = min(train.chunk_epochs, train.total_epochs - epoch)
            state, metrics = programs.run_epochs(state, training_keys, X, y, cell.N, epoch, length)
            epoch, chunks = epoch + length, chunks + 1
            if train.optimizer == NEWTON and jax.device_get(state.opt_state.done).all():
                epoch = train.total_epochs
            mse, mce = (_finite_mean(values) for values in without_padding(metrics))
            seconds = round(time.monotonic() - began, 3)
            workdir.log("chunk", cell=cell.id, epoch=epoch, mse=mse, mce=mce, seconds=seconds)
            shown.chunk(cell, epoch, f"epoch {epoch} of {train.total_epochs}, MCE {100 * mce:.2f} %")
            stop = stop_requested()
            # At the end too: certificates can take minutes, and need not be waited for twice.
            if stop or chunks % train.checkpoint_chunks == 0 or epoch == train.total_epochs:
                checkpoints.save(epoch, without_padding(state))
                workdir.log("checkpoint", cell=cell.id, epoch=epoch)
            if stop:
                workdir.log("stop", cell=cell.id, epoch=epoch, reason=stop)
                raise Stopped(f"{stop}: saved {cell.id} at epoch {epoch} of {train.total_epochs}")

    host = jax.devices("cpu")[0]
    on_host = jax.device_put(without_padding((state.params, X, y)), host)
    evaluation = jax.device_get(programs.evaluate(*on_host, cell.N))
    params, X, y = jax.device_get(on_host)
    points = X[:, : cell.N], y[:, : cell.N], cell.part.problem.threshold
    try:
        certificates = certify_seeds(params, cell.part.network, cell.hidden_layers, *points, stop_requested)
    except Interrupted as error:
        workdir.log("stop", cell=cell.id, epoch=epoch, reason=stop_requested())
        raise Stopped(f"{stop_requested()}: saved {cell.id} after its last epoch") from error
    rows = _rows(cell, evaluation, without_padding(state.non_finite_epoch), certificates)
    workdir.finish_cell(cell.id, rows)
    checkpoints.delete()
    mean_mce = _finite_mean(evaluation.mce)
    workdir.log("cell_end", cell=cell.id, mce=mean_mce, seconds=round(time.monotonic() - began, 3))
    shown.cell_finished(cell, f"mean MCE {100 * mean_mce:.3f} %")
    if stop := stop_requested():
        workdir.log("stop", cell=cell.id, reason=stop)
        raise Stopped(f"{stop}: saved after {cell.id}")


def _rows(
    cell: Cell, evaluation: Evaluation, non_finite_epoch: np.ndarray, certificates: Sequence[Certificate | None]
) -> list[dict]:
    """One row a seed, in the order of the seeds."""
    part = cell.part
    rows = []
    for k, (seed, data_seed, certificate) in enumerate(zip(cell.seeds, cell.data_seeds, certificates, strict=True)):
        mse, mce, smallest = (float(values[k]) for values in evaluation)
        failed = int(non_finite_epoch[k])
        row = {
            "study": part.name, "cell": cell.id, "inputs": part.problem.inputs, "labels": part.problem.labels,
            "hidden_layers": cell.hidden_layers, "d0": cell.d0, "d1": cell.d1, "N": cell.N,
            "rho": part.network.rho, "bias": part.network.bias, "parameters": cell.parameters,
            "optimizer": part.train.optimizer, "precision": part.train.precision,
            "epochs": part.train.total_epochs, "seed": seed, "data_seed": data_seed, "mse": mse, "mce": mce,
            "min_abs_neural_input": smallest, "non_finite_epoch": "" if failed < 0 else failed,
            "verdict": results.NON_FINITE,
        }  # fmt: skip
        if failed < 0 and math.isfinite(mse) and certificate is not None:
            names = ("verdict", "rank", "margin", "grad_norm", "region_mse", "region_mce", "reason")
            row |= {name: getattr(certificate, name) for name in names}
        rows.append(row)
    return rows


def _finite_mean(values: np.ndarray) -> float:
    finite = values[np.isfinite(values)]
    return float(finite.mean()) if finite.size else math.nan


class _Programs(NamedTuple):
    """The compiled functions of a shape bucket, over all seeds at once (leading axis), padded to whole groups on every
    device."""

    pad: Callable
    keys: Callable
    draw: Callable
    init: Callable
    run_epochs: Callable
    evaluate: Callable
    place: Callable


@functools.lru_cache(maxsize=4)
def _programs(
    part: Study, hidden_layers: int, d0: int, d1: int, rows: int, together: int, turns: int, devices: int
) -> _Programs:
    training = make_training(part.problem, part.network, part.train, hidden_layers, d0, d1, rows)
    evaluate = make_evaluation(part.problem, part.network, hidden_layers, d1)
    mesh = jax.sharding.Mesh(np.asarray(jax.local_devices()[:devices]), ("seeds",))
    everywhere, own = jax.sharding.PartitionSpec(), jax.sharding.PartitionSpec("seeds")
    sharding = jax.sharding.NamedSharding(mesh, own)
    padding = together * turns * devices - part.repeats

    def pad(arrays):
        # The last seed once more: it does what seeds do, and nobody looks at it.
        return jax.tree.map(lambda leaf: np.concatenate([leaf, np.repeat(leaf[-1:], padding, axis=0)]), arrays)

    def run_epochs(state, key, X, y, N, first_epoch, epochs):
        def on_device(N, first_epoch, *seeds):
            def one(arrays):
                return training.run_epochs(*arrays, N, first_epoch, epochs)

            return map_groups(one, seeds, together)

        specs = (everywhere,) * 2 + (own,) * 4
        on_all = jax.shard_map(on_device, mesh=mesh, in_specs=specs, out_specs=own, check_vma=False)
        return on_all(jnp.asarray(N), jnp.asarray(first_epoch), state, key, X, y)

    def evaluate_all(params, X, y, N):
        # One seed at a time: in float64 all of them at once would take more memory than training did.
        return jax.lax.map(lambda arrays: evaluate(*arrays, N), (params, X, y))

    return _Programs(
        pad=pad,
        keys=jax.jit(seed_keys, out_shardings=sharding),
        draw=jax.jit(jax.vmap(training.draw, in_axes=(0, None)), out_shardings=sharding),
        init=jax.jit(jax.vmap(training.init), out_shardings=sharding),
        run_epochs=jax.jit(run_epochs, static_argnums=6, donate_argnums=0, out_shardings=sharding),
        evaluate=jax.jit(evaluate_all),
        place=lambda state: jax.device_put(state, sharding),
    )


def map_groups(one: Callable, seeds: tuple, together: int):
    """one(arrays) for each seed (leading axis of all arrays), `together` of them vmapped, one group after the other."""
    if together == 1:
        return jax.lax.map(one, seeds)
    groups = jax.tree.map(lambda leaf: leaf.reshape(-1, together, *leaf.shape[1:]), seeds)
    return jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), jax.lax.map(jax.vmap(one), groups))


def _spread(cell: Cell) -> tuple[int, int, int]:
    """How many seeds are vmapped at once, how many such groups a device takes in turn, and on how many devices.

    On an accelerator each device takes its seeds at once. On a CPU a group is no more than a core's cache holds, since
    each epoch goes through all its data, and no more than half of the seeds. It does not depend on the number of
    cores, and XLA's programs for two devices and for more are alike, so that neither do the last bits of the results.
    """
    repeats, available = cell.part.repeats, jax.local_device_count()
    together = 1
    if jax.default_backend() == "cpu":
        fit = min(CPU_CACHE_BYTES * repeats // cell.bytes_needed, repeats // 2)
        together = max(k for k in range(1, max(fit, 1) + 1) if repeats % k == 0)
    groups = repeats // together
    turns = -(-groups // available)
    devices = -(-groups // turns)
    return (together, turns, devices) if jax.default_backend() == "cpu" else (turns, 1, devices)


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
        full = getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT)
        if full or os.strerror(errno.ENOSPC) in str(error):
            raise StudyError(
                f"the disk of {workdir.path} is full; finished cells are kept: free some space and run the same "
                "command again"
            ) from error
        raise
