"""How fast mnnjax is on this machine's accelerator: sections of accelerator.py.

A step of Adam does 4 N d0 d1 flops a seed: two products forward and backward, of multiplications and additions. The
least that it moves is X and y once, and the weights with two moments read and written. Both bounds are times: flops
over the rate of a large product at the same precision, bytes over the rate of a copy (bytes read and written). The
longer one is the tighter bound, and the share of it is that bound over the time.
"""

import itertools
import statistics
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from harness import Worker, alternate, spread, wanted, workers
from levenberg_marquardt import LEVENBERG_MARQUARDT

SEEDS, SMALL_SEEDS = 30, 4
# d, N, steps a turn, steps between two looks of the host (a study's default is 100), steps before the check of MSEs.
SHAPES = ((20, 400, 2000, 100, 100), (50, 2500, 1000, 100, 20), (200, 40_000, 40, 10, 10))
SMALL_SHAPES = ((5, 25, 40, 20, 20), (20, 400, 40, 20, 20))
TURNS, REST = 5, 0.05
# Between ours and PyTorch in float32, of a seed's MSE after a shape's check steps: rounding has grown by then.
CHECK_TOLERANCE = 1e-3
# Of Levenberg-Marquardt: d, N. The last one is near the threshold, d^2 / N = 1.1.
STEP_SHAPES, STEP_SMALL = ((20, 80), (40, 320), (20, 363)), ((8, 12), (8, 32))
# An MSE of Levenberg-Marquardt's that counts as zero.
SOLVED = 1e-20


def precisions(context: dict) -> dict[str, str]:
    """Names of products' precisions, and JAX's names for them."""
    return {"float32": "highest"} | ({"TF32": "tensorfloat32"} if context["platform"] == "gpu" else {})


def limits(context: dict) -> Iterator[dict]:
    """Rates of a large product and of a copy, on all devices at once."""
    n, launches, copied = (1024, 1, 2**25) if context["small"] else (8192, 10, 2**32)
    settings = {"n": n, "launches": launches, "copied_bytes": copied}
    made = {
        name: ("study_jax", "Limits", settings | {"matmul": matmul}) for name, matmul in precisions(context).items()
    }
    with workers(together=True, **made) as running:
        for name, worker in running.items():
            rates = alternate({name: worker}, TURNS, "turn_each", REST)[name]
            yield {"limit": f"{name} products of {n} x {n}", "Tflop/s": spread(rates, 1e-12), "_name": name}
        rates = alternate({"copy": running["float32"]}, TURNS, "copy", REST)["copy"]
        yield {"limit": f"copy of {copied / 1e9:.2f} GB a device, read and written", "GB/s": spread(rates, 1e-9)}


def rates(context: dict) -> dict[str, float]:
    """Flops a second by precision, and bytes a second as "copy"; those that the section `limits` has found."""
    found = {}
    for row in context["rows"].get("limits", []):
        if "Tflop/s" in row:
            found[row["_name"]] = 1e12 * row["Tflop/s"]["median"]
        elif "GB/s" in row:
            found["copy"] = 1e9 * row["GB/s"]["median"]
    return found


def shares(context: dict, precision: str, flops: float, moved: float, seconds: list[float]) -> dict:
    """Columns: what of the two rates is reached, and which bound is tighter."""
    known = rates(context)
    if not {precision, "copy"} <= known.keys():
        return {}
    bounds = {"products": flops / known[precision], "copy": moved / known["copy"]}
    taken = statistics.median(seconds)
    columns = {f"% of {name}": 100 * bound / taken for name, bound in bounds.items()}
    return columns | {"tighter bound": max(bounds, key=bounds.get)}


def step_bytes(d: int, N: int, seeds: int) -> int:
    """The least that a step moves, in float32."""
    return 4 * seeds * (N * (d + 1) + 2 * 3 * (d * d + d))


def adam(context: dict) -> Iterator[dict]:
    """Ours, as a study trains all seeds, at highest precision and, on a GPU, in TF32."""
    seeds = SMALL_SEEDS if context["small"] else SEEDS
    made = {name: ("study_jax", "Shapes", {"matmul": matmul}) for name, matmul in precisions(context).items()}
    with workers(together=True, **made) as running:
        for d, N, steps, chunk, check in SMALL_SHAPES if context["small"] else SHAPES:
            # They draw together; what is compiled for a GPU is chosen by timing, so one after the other.
            ask_all(running, "take", d, N, seeds, steps, chunk)
            seconds = alternate(running, TURNS, "step", REST)
            mse = ask_all(running, "mse_after", check)
            for name, worker in running.items():
                yield adam_row(context, ("ours", name), (d, N, seeds), seconds[name], mse[name], worker.ask("how"))


def ask_all(running: dict[str, Worker], method: str, *args) -> dict:
    """What the method of each returns, all at work together."""
    for worker in running.values():
        worker.send(method, *args)
    return {name: worker.receive() for name, worker in running.items()}


def adam_row(context: dict, way: tuple, shape: tuple, seconds: list[float], mse: np.ndarray, how: str) -> dict:
    """A row of a contestant, way: who and which precision; mse: of each seed after the check steps."""
    (who, precision), (d, N, seeds) = way, shape
    row = {"d": d, "N": N, "seeds": seeds, "way": f"{who}, {precision}", "ms a step": spread(seconds, 1e3)}
    row |= shares(context, precision, 4 * N * d * d * seeds, step_bytes(d, N, seeds), seconds)
    row |= {"mean MSE": float(mse.mean()), "how": how}
    return row | {"_seconds": seconds, "_mse": mse.tolist(), "_precision": precision}


def adam_torch(context: dict) -> Iterator[dict]:
    """The fastest of PyTorch's compiled ways, from the same weights and points; its time over ours."""
    began = time.monotonic()
    try:
        import torch  # noqa: F401
    except ImportError:
        yield {"missing": "PyTorch is not here"}
        return
    # "high" is TF32.
    made = {
        name: ("adam_torch", "Shapes", {"matmul": "high" if name == "TF32" else "highest"})
        for name in precisions(context)
    }
    ours = {(row["d"], row["N"], row["_precision"]): row for row in context["rows"].get("adam", []) if "_mse" in row}
    seeds = SMALL_SEEDS if context["small"] else SEEDS
    with workers(together=True, **made) as running:
        where = running["float32"].ask("devices")
        if context["accelerator"] and where != "cuda":
            yield {"missing": f"PyTorch sees the {where} alone"}
            return
        last = 0.0
        for d, N, steps, _, check in SMALL_SHAPES if context["small"] else SHAPES:
            started = time.monotonic()
            if started + last > began + context["seconds"]:
                yield {"missing": f"no time was left for d = {d}"}
                continue
            # They compile together, and are timed one after the other.
            ask_all(running, "take", d, N, seeds, steps)
            for name, worker in running.items():
                worker.ask("choose")
                seconds = alternate({name: worker}, TURNS, "step", REST)[name]
                mse = worker.ask("mse_after", check)
                row = adam_row(context, ("PyTorch", name), (d, N, seeds), seconds, mse, worker.ask("how"))
                yield row | beside(row, ours.get((d, N, name)))
            last = time.monotonic() - started


def beside(row: dict, ours: dict | None) -> dict:
    """Columns of a row of PyTorch's: its time over ours, and how far the MSEs of any seed are from each other."""
    if ours is None:
        return {}
    columns = {"over ours": statistics.median(row["_seconds"]) / statistics.median(ours["_seconds"])}
    farthest = float(np.max(np.abs(np.array(row["_mse"]) / np.array(ours["_mse"]) - 1)))
    columns["farthest MSE from ours"] = farthest
    if row["_precision"] == "float32":
        columns["met"] = wanted("", farthest, most=CHECK_TOLERANCE)["met"]
        columns["_what"] = f"d = {row['d']}, N = {row['N']}: the MSEs of PyTorch and ours differ"
    return columns


def levenberg_marquardt(context: dict) -> Iterator[dict]:
    """Until no seed changes any more, or 400 steps are done."""
    if context["platform"] == "tpu":
        yield {"missing": "a TPU factorizes no float64 matrices"}
        return
    from study_jax import Cell

    for d, N in STEP_SMALL if context["small"] else STEP_SHAPES:
        cell = Cell(d=d, N=N, repeats=SMALL_SEEDS if context["small"] else SEEDS, **LEVENBERG_MARQUARDT)
        cell.turn()
        seconds = [cell.turn() for _ in range(2 if context["small"] else 3)]
        mse = cell.mse()
        row = {"d": d, "N": N, "seeds": len(mse), "seconds": spread(seconds), "worst MSE": float(mse.max())}
        yield row | {f"below {SOLVED:g}": int((mse < SOLVED).sum()), "how": cell.how()}


def gaussian_large(context: dict) -> Iterator[dict]:
    """X drawn on the devices and held there in bfloat16; as many epochs as there is time for, of the config's own."""
    began = time.monotonic()
    from mnnjax import jax_setup

    jax_setup.use_all_cores()
    import jax

    from mnnjax.cli.config_file import load_config
    from mnnjax.study.execution.data_parallel import DataParallel
    from mnnjax.study.plan import grid as plan
    from mnnjax.study.resources.memory import memory_per_device
    from mnnjax.study.resources.memory_check import available, memory_shortage

    config = Path(__file__).parents[2] / "configs" / "gaussian_large.py"
    (cell,) = plan.cells(load_config(str(config), small=context["small"]))
    devices = jax.devices()
    yield {"what": "N, d0, d1", "measured": f"{cell.N}, {cell.d0}, {cell.d1}"}
    yield {"what": "GB that a device needs, by --dry-run's account", "measured": memory_per_device(cell, devices) / 1e9}
    if (free := available(len(jax.local_devices()))) is not None:
        yield {"what": "GB that a device has", "measured": free / 1e9}
    if (shortage := memory_shortage(cell, devices)) is not None:
        yield {"missing": f"X does not fit: it {shortage}"}
        return

    drawing = time.monotonic()
    training = DataParallel(cell, None)
    jax.block_until_ready(training._rows)
    yield {"what": "seconds to draw X and y", "measured": time.monotonic() - drawing}

    X_bytes = 2 * cell.N * cell.d0
    flops = 4 * cell.N * cell.d0 * cell.d1
    # Time for a look at the evaluation, and to end.
    until = began + context["seconds"] - (10 if context["small"] else 25)
    total = 5 if context["small"] else cell.part.train.total_epochs
    state, seconds, last = training.start(), [], (0.0, 0.0)
    for epoch in range(total):
        started = time.monotonic()
        state, metrics = training.run(state, epoch, 1)
        seconds.append(time.monotonic() - started)
        last = tuple(float(values.mean()) for values in metrics)
        if epoch == 0:
            yield {"what": "seconds of the first epoch, compilation included", "measured": seconds[0]}
        if told(epoch + 1):
            yield epoch_row(epoch + 1, last)
        if time.monotonic() + max(seconds[1:] or [0.0]) > until:
            break
    if not told(len(seconds)):
        yield epoch_row(len(seconds), last)
    if later := seconds[1:]:
        row = {"what": f"seconds an epoch, of {len(later)}", "measured": spread(later), "_seconds": seconds}
        yield row | shares(context, "float32", flops, X_bytes, later)
        yield {"what": "GB/s of X, read once an epoch", "measured": X_bytes / statistics.median(later) / 1e9}
        yield {"what": "Tflop/s", "measured": flops / statistics.median(later) / 1e12}
    yield {"what": f"epochs done of {cell.part.train.total_epochs}", "measured": len(seconds)}
    if peak := (devices[0].memory_stats() or {}).get("peak_bytes_in_use"):
        yield {"what": "GB of a device in use at the peak", "measured": peak / 1e9}
    if time.monotonic() < until:
        yield evaluation_row(training, state, cell.N)


def told(epoch: int) -> bool:
    """Whether an epoch has a row: 1, 2, 5, 10, 20, 50, ..."""
    return str(epoch).rstrip("0") in ("1", "2", "5")


def epoch_row(epoch: int, metrics: tuple[float, float]) -> dict:
    """The MSE and MCE, of all mini-batches before their steps."""
    return {"what": f"epoch {epoch}", "measured": "", "MSE": metrics[0], "MCE, %": 100 * metrics[1]}


def evaluation_row(training, state, N: int) -> dict:
    """How long the float64 evaluation on the CPU would take, from some of the points."""
    import jax

    parts = 2 * len(jax.local_devices(backend="cpu"))
    params = training.saved(state.params)
    # Once to compile.
    list(training._stream(params, itertools.islice(training._parts(), 1)))
    points, began = 0.0, time.monotonic()

    def counted():
        nonlocal points
        for part in itertools.islice(training._parts(), parts):
            points += part[2].sum()
            yield part

    list(training._stream(params, counted()))
    seconds = (time.monotonic() - began) * N / points
    return {"what": f"seconds of the evaluation at the end, from {points:.0f} points", "measured": seconds}
