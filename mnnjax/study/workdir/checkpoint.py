"""Checkpoints of the cell in training, through Orbax, with a digest for each leaf.

Orbax loads a file with a flipped byte without complaint, and a killed machine can leave a step empty or cut short. So
each step carries the SHA-256 of every leaf. A step that does not load, does not match, or holds another kind of state
is set aside with a warning, and the step before it is used.
"""

import contextlib
import functools
import hashlib
import sys
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp

from mnnjax.errors import first_difference, first_line
from mnnjax.study.workdir import storage
from mnnjax.study.workdir.storage import AnyPath
from mnnjax.study.workdir.weights import forms

STEPS_KEPT = 2
# Of several processes this one alone saves, without waiting for the others.
_ALONE = ocp.options.MultiprocessingOptions(primary_host=0, active_processes={0})


class OtherStateError(Exception):
    """A step holds other leaves than are asked for, or leaves of other shapes or types."""


class CellCheckpoints:
    """The checkpoints of one cell, in a folder of their own; the name of each is the number of steps done. Those that
    cannot be used are moved to the folder `set_aside`; `warn` is called with one line for each of them."""

    def __init__(self, directory: AnyPath, set_aside: AnyPath, warn: Callable[[str], None]):
        self._directory = storage.resolve(directory)
        self._set_aside = set_aside
        self._warn = warn
        self._manager: ocp.CheckpointManager | None = None

    def save(self, steps_done: int, state: Any) -> None:
        """Write the state, a pytree of arrays; returns when it is on disk."""
        leaves = _named_leaves(state)
        digests = {name: _digest(leaf) for name, leaf in leaves.items()}
        content = ocp.args.Composite(state=ocp.args.StandardSave(leaves), digests=ocp.args.JsonSave(digests))
        self._open().save(steps_done, args=content, force=True)

    def restore(self, template: Any) -> tuple[int, Any] | None:
        """The latest valid checkpoint as (steps done, state of NumPy leaves); None: start from the beginning. The
        template is a pytree like the state, of arrays or jax.ShapeDtypeStruct."""
        steps = [int(name) for name in storage.names(self._directory) if name.isdigit()]
        for step in sorted(steps, reverse=True):
            try:
                return step, self._load(step, template)
            except OtherStateError as error:
                self._set_step_aside(step, f"was written by another version of mnnjax, or for other shapes ({error})")
            except Exception as error:  # Orbax and TensorStore raise many kinds for a damaged file.
                self._set_step_aside(step, f"is damaged ({type(error).__name__}: {first_line(error)[:200]})")
        if steps:
            self._warn(f"{self._directory.name} has no valid checkpoint left; it starts from the beginning")
        return None

    def repetitions(self) -> int | None:
        """How many repetitions the latest checkpoint has on the leading axes of its arrays; None where there is none
        that can be read. It is not validated."""
        steps = [int(name) for name in storage.names(self._directory) if name.isdigit()]
        for step in sorted(steps, reverse=True):
            with contextlib.suppress(Exception):  # Orbax and TensorStore raise many kinds for a damaged file.
                return min(leaf.shape[0] for leaf in self._held(step).values())
        return None

    def delete(self) -> None:
        """Remove all steps."""
        self.close()
        storage.remove_tree(self._directory)

    def close(self) -> None:
        """Release what Orbax holds; a later call opens it again."""
        if self._manager is not None:
            self._manager.close()
            self._manager = None

    def _open(self) -> ocp.CheckpointManager:
        if self._manager is None:
            _drop_late_answers()
            storage.make_folder(self._directory)
            options = ocp.CheckpointManagerOptions(
                max_to_keep=STEPS_KEPT, enable_async_checkpointing=False, cleanup_tmp_directories=True, create=False,
                multiprocessing_options=_ALONE,
            )  # fmt: skip
            self._manager = ocp.CheckpointManager(self._directory, options=options)
        return self._manager

    def _load(self, step: int, template: Any) -> Any:
        manager = self._open()
        wanted = _named_leaves(template, lambda leaf: np.empty(leaf.shape, leaf.dtype))
        # Before it is restored: Orbax has errors of its own for other leaves, and converts other types.
        if difference := first_difference(forms(self._held(step)), forms(wanted)):
            raise OtherStateError(difference)
        asked = ocp.args.Composite(state=ocp.args.StandardRestore(wanted), digests=ocp.args.JsonRestore())
        loaded = manager.restore(step, args=asked)
        leaves = {name: np.asarray(leaf) for name, leaf in loaded["state"].items()}
        for name in wanted:
            if _digest(leaves[name]) != loaded["digests"][name]:
                raise ValueError(f"{name} is not what was saved")
        return jax.tree.unflatten(jax.tree.structure(template), [leaves[name] for name in wanted])

    def _held(self, step: int) -> Any:
        """What stands for each array of a step, by its name: it has its shape and type."""
        with contextlib.closing(ocp.StandardCheckpointHandler(multiprocessing_options=_ALONE)) as handler:
            directory: Any = self._directory / str(step) / "state"
            return handler.metadata(directory).tree

    def _set_step_aside(self, step: int, why: str) -> None:
        source, name = self._directory / str(step), f"{self._directory.name}.{step}"
        if not source.exists():
            return  # An interrupted save: in a bucket it has its final name from the start, and Orbax has removed it.
        self.close()
        target = storage.free_name(self._set_aside / name)
        storage.move(source, target)
        self._warn(f"checkpoint {name} {why}; set aside as {target}")


@functools.cache
def _drop_late_answers() -> None:
    """Hide the tracebacks of answers that come after Orbax has closed its event loop, as it does when a write fails on
    a full disk: one line says what is wrong."""
    default_hook = sys.unraisablehook

    def hook(unraisable) -> None:
        error = unraisable.exc_value
        if not (isinstance(error, RuntimeError) and str(error) == "Event loop is closed"):
            default_hook(unraisable)

    sys.unraisablehook = hook


def _named_leaves(tree: Any, convert: Callable = np.asarray) -> dict[str, np.ndarray]:
    return {jax.tree_util.keystr(path): convert(leaf) for path, leaf in jax.tree.leaves_with_path(tree)}


def _digest(leaf: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(leaf).tobytes()).hexdigest()
