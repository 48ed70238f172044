"""Whether mnnjax is right on this machine's accelerator: sections of accelerator.py.

What a check allows is told in its row; a row with "reported" fails nothing. float32 rounds by EPS / 2 relatively, each
time; TF32 by 5e-4. So most checks separate true float32 from TF32, which no study asks for.
"""

import csv
import json
import math
import os
import platform
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from importlib import metadata
from pathlib import Path

import numpy as np
from harness import random_start, wanted

ROOT = Path(__file__).parents[2]
EPS = float(np.finfo(np.float32).eps)
# An accelerator sums in another order than the CPU: it may be so many times farther off than the CPU's float32 is.
TIMES_FLOAT32 = 10
# Of two normal numbers of the same random bits, relatively: some 100 roundings. Other bits give differences of 1.
NORMAL_TOLERANCE = {"float32": 1e-5, "float64": 1e-12}
# Relative differences of the MSEs of quickstart --small that count as rounding. Two ways to compile it for a CPU differ
# by 1e-6 in float32 and not at all in float64.
MSE_TOLERANCE = {"float32": 1e-4, "float64": 1e-10}
# Training amplifies rounding: one repetition in so many may end elsewhere.
ONE_IN = 10
# Adam's steps that the section "steps" takes. By then float32 on a CPU is 1e-7 off, and TF32 some 1e-3. A neural input
# within rounding of 0 has its sign in one precision alone, and that repetition is then 1e-4 off. At d = 50, N = 2500
# this befalls one repetition in thirty within 10 steps, and five within 30: so few steps, and the median.
EARLY_STEPS, ONE_IN_EARLY = 10, 3


def reported(what: str, value) -> dict:
    """A row that fails nothing, in the columns of `wanted`."""
    return {"what": what, "wanted": "reported", "measured": value, "met": ""}


# What the machine is.


def machine(context: dict) -> Iterator[dict]:
    """Software and hardware; says that something is wrong where there is a GPU that JAX does not see."""
    yield {"machine": "Python", "is": platform.python_version()}
    for name in ("jax", "jaxlib", "jax-cuda13-plugin", "jax-cuda12-plugin", "libtpu", "numpy", "torch"):
        try:
            yield {"machine": name, "is": metadata.version(name)}
        except metadata.PackageNotFoundError:
            continue
    cards = _nvidia_smi()
    for card in cards:
        yield {"machine": "nvidia-smi", "is": card}
    import jax

    import mnnjax.jax_setup
    from mnnjax.study.resources.machine import cores, memory, processor

    yield {"machine": "mnnjax", "is": mnnjax.__version__}
    yield {"machine": "CPU", "is": f"{processor()}, {cores()} cores, {memory() / 1e9:.0f} GB"}
    yield {"machine": "load", "is": f"{os.getloadavg()[0]:.1f}"}
    devices = jax.devices()
    # As JAX names it, or the plugin.
    platform_name = {"cuda": "gpu", "rocm": "gpu"}.get(devices[0].platform, devices[0].platform)
    yield {"machine": "platform", "is": platform_name}
    yield {"machine": "device", "is": devices[0].device_kind}
    yield {"machine": "devices", "is": len(devices)}
    limit = (devices[0].memory_stats() or {}).get("bytes_limit")
    if limit:
        yield {"machine": "memory for JAX, GB", "is": limit / 1e9}
    if cards and platform_name == "cpu" and not os.environ.get("JAX_PLATFORMS"):
        yield {
            "failed": "nvidia-smi sees a GPU and this Python's JAX does not; name another with --python, or set "
            "JAX_PLATFORMS=cpu to check the CPU"
        }


def _nvidia_smi() -> list[str]:
    """Name, memory and driver of each GPU; none where there is no such program."""
    if shutil.which("nvidia-smi") is None:
        return []
    query = ["nvidia-smi", "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader"]
    try:
        done = subprocess.run(query, capture_output=True, text=True, timeout=30)
    except subprocess.TimeoutExpired:
        return []
    return done.stdout.strip().splitlines() if done.returncode == 0 else []


# Numbers and products.


def numbers(context: dict) -> Iterator[dict]:
    """Random numbers from the same key as on the CPU, and single products against float64."""
    import jax
    import jax.numpy as jnp

    import mnnjax.jax_setup  # noqa: F401

    device, cpu = jax.devices()[0], jax.local_devices(backend="cpu")[0]
    count = 2**16 if context["small"] else 2**24

    def on_both(draw) -> tuple[np.ndarray, np.ndarray]:
        key = jax.random.key(7)
        here, there = (jax.device_get(jax.jit(draw)(jax.device_put(key, place))) for place in (device, cpu))
        return here, there

    # Initial weights, points and the order of mini-batches come from these.
    for name, draw in {
        "bits": lambda key: jax.random.bits(key, (count,)),
        "uniform float64": lambda key: jax.random.uniform(key, (count,)),
        "uniform float32": lambda key: jax.random.uniform(key, (count,), jnp.float32),
        "labels": lambda key: jax.random.bernoulli(key, 0.5, (count,)),
    }.items():
        here, there = on_both(draw)
        yield wanted(f"{name}: of {count}, differing", int(np.sum(here != there)), most=0)
    for dtype, tolerance in NORMAL_TOLERANCE.items():
        here, there = on_both(lambda key, dtype=dtype: jax.random.normal(key, (count,), dtype))
        # Some are zero.
        farthest = float(np.max(np.abs(here - there) / np.maximum(np.abs(there), EPS)))
        yield wanted(f"normal {dtype}: relative difference", farthest, most=tolerance)
        yield reported(f"normal {dtype}: differing, %", 100 * float(np.mean(here != there)))

    # Each entry's error is below terms * EPS / 2 of its terms' sum of moduli, in any order of summation.
    rows, terms = (256, 64) if context["small"] else (2048, 64)
    random = np.random.default_rng(0)
    a, b = random.standard_normal((rows, terms)), random.standard_normal((terms, rows))

    def error(dtype, precision: str) -> float:
        left, right = (leaf.astype(dtype) for leaf in (a, b))
        product = jax.jit(lambda a, b: jnp.matmul(a, b, precision=precision))
        found = np.asarray(product(*jax.device_put((left, right), device)), np.float64)
        left, right = np.float64(left), np.float64(right)
        return float(np.max(np.abs(found - left @ right) / (np.abs(left) @ np.abs(right))))

    most = terms * EPS / 2 / (1 - terms * EPS / 2)
    yield wanted("float32 product at highest precision: error", error(np.float32, "highest"), most=most)
    if context["platform"] != "cpu":
        yield reported("the same in TF32 (on a TPU: three bfloat16)", error(np.float32, "tensorfloat32"))
    # The reference rounds as well.
    yield wanted("float64 product: error", error(np.float64, "highest"), most=2 * most * 2.0**-29)


# Gradients by rows.


def numpy_gradient(W, z, X, y, dtype=np.float64) -> dict[str, np.ndarray]:
    """Of the MSE of a ReLU network, W (d1, d0), z (d1,) on X (N, d0), y (N,): the chain rule, in dtype."""
    W, z, X, y = (np.asarray(leaf, dtype) for leaf in (W, z, X, y))
    U = X @ W.T
    h = np.maximum(U, 0)
    back = (2 / dtype(len(y))) * (h @ z - y)
    return {"W1": (back[:, None] * z * (U > 0)).T @ X, "z": back @ h}


def distance(found: dict, expected: dict) -> float:
    """The relative distance of two sets of arrays, the farthest array's."""
    # Not by Python's max, which may lose a NaN.
    return float(
        np.max([np.linalg.norm(np.float64(found[n]) - expected[n]) / np.linalg.norm(expected[n]) for n in expected])
    )


def gradients(context: dict) -> Iterator[dict]:
    """One step of gradient descent on rows that all devices share, whose rate is so large that it is the gradient; and
    an epoch of mini-batches in float64."""
    from mnnjax import jax_setup

    jax_setup.use_all_cores()
    import jax
    import jax.numpy as jnp

    from mnnjax.config import Network, Problem, Train
    from mnnjax.training import RowLayout, make_row_training, place_rows, row_devices, sharded

    N, d0, d1 = (1500, 40, 8) if context["small"] else (60_000, 512, 64)
    devices = row_devices(jax.devices())
    X, y, W, z = points_off_kinks(N, d0, d1)

    def train(settings: Train, dtype):
        def block_of(block, points, device):
            yield X[points.start : points.stop].astype(dtype), y[points.start : points.stop].astype(dtype)

        rounded = "bfloat16" if settings.rows_precision == "bfloat16" else None
        rows = place_rows(RowLayout(N, settings.batch_size), d0, dtype, devices, block_of, rounded)
        problem = Problem(d0=(d0,), N=(N,))
        training = make_row_training(problem, Network(), settings, 1, d0, d1, N, devices)
        state = training.init(jax.random.split(jax.random.key(0), len(W)), {"W1": W, "z": z})
        state, _ = training.run_epochs(state, jax.random.key(1), rows, 0, 1)
        return {name: np.asarray(leaf, np.float64) for name, leaf in state.params.items()}

    rate = 2.0**10
    where = f"{len(devices)} x {devices[0].device_kind}"
    whole = sharded.PIECE_BYTES
    for name, precision, piece in (
        ("float32 rows", "same", whole),
        ("float32 rows, in pieces", "same", 4 * d0 * -(-N // (64 * 8))),
        ("bfloat16 rows", "bfloat16", whole),
    ):
        sharded.PIECE_BYTES = piece
        settings = Train("sgd", (), rate, None, 1, 0, parallel="data", rows_precision=precision)
        end = train(settings, "float32")
        held = X if precision == "same" else X.astype(jnp.bfloat16).astype(np.float32)
        errors, own = [], []
        for k in range(len(W)):
            found = {n: (np.float64(leaf[k]) - end[n][k]) / rate for n, leaf in (("W1", W), ("z", z))}
            expected = numpy_gradient(W[k], z[k], held, y)
            errors.append(distance(found, expected))
            own.append(distance(numpy_gradient(W[k], z[k], held, y, np.float32), expected))
        most = TIMES_FLOAT32 * max(*own, EPS / 2)
        yield wanted(f"gradient, {name}, {where}: relative error", float(np.max(errors)), most=most)
    sharded.PIECE_BYTES = whole

    settings = Train("sgd", (), 0.05, 64 * max(N // 256, 1), 1, 0, precision="float64", parallel="data")
    end = train(settings, "float64")
    errors = []
    for k in range(len(W)):
        params = {"W1": np.float64(W[k]), "z": np.float64(z[k])}
        for batch in batches(N, settings.batch_size, jax.random.key(1)):
            slope = numpy_gradient(params["W1"], params["z"], X[batch], y[batch])
            params = {n: leaf - settings.learning_rate * slope[n] for n, leaf in params.items()}
        errors.append(distance({n: leaf[k] for n, leaf in end.items()}, params))
    yield wanted("an epoch of mini-batches in float64: relative error", float(np.max(errors)), most=1e-10)


def points_off_kinks(N: int, d0: int, d1: int) -> tuple[np.ndarray, ...]:
    """X (N, d0), y (N,), W (2, d1, d0) and z (2, d1) in float32, none of whose neural inputs changes sign by rounding,
    not even where X is rounded to bfloat16."""
    import jax.numpy as jnp

    random = np.random.default_rng(0)
    W, z = random.standard_normal((2, d1, d0), np.float32), random.standard_normal((2, d1), np.float32)
    W *= np.float32((2 / d0) ** 0.5)
    found: list[np.ndarray] = []
    while sum(map(len, found)) < N:
        X = random.standard_normal((N, d0), np.float32)
        inputs = [np.abs(form @ W.reshape(-1, d0).T) for form in (X, X.astype(jnp.bfloat16).astype(np.float32))]
        found.append(X[np.min(inputs, axis=(0, 2)) > 1e-3])
    return np.concatenate(found)[:N], random.choice([-1.0, 1.0], N).astype(np.float32), W, z


def batches(N: int, batch_size: int, key) -> list[np.ndarray]:
    """Which points the mini-batches of the first epoch have, by the rule of training/sharded.py, drawn on the CPU."""
    import jax
    import jax.numpy as jnp

    from mnnjax.config import ROW_BLOCKS
    from mnnjax.training import RowLayout

    layout = RowLayout(N, batch_size)
    with jax.default_device(jax.local_devices(backend="cpu")[0]):
        epoch_key = jax.random.fold_in(jax.device_put(key, jax.local_devices(backend="cpu")[0]), 0)
        keys = [jax.random.fold_in(epoch_key, block) for block in range(ROW_BLOCKS)]
        drawn = jax.vmap(lambda one: jax.random.uniform(one, (layout.rows,)))(jnp.stack(keys))
    order = np.argsort(np.asarray(drawn), axis=1)
    points = [np.arange(ROW_BLOCKS)[:, None] * layout.points + rows for rows in np.split(order, layout.steps, axis=1)]
    inside = [rows < layout.points for rows in np.split(order, layout.steps, axis=1)]
    numbers = [np.where(own, rows, N).ravel() for own, rows in zip(inside, points, strict=True)]
    return [rows[rows < N] for rows in numbers]


# Early steps.


def steps(context: dict) -> Iterator[dict]:
    """The same weights and points, EARLY_STEPS steps of Adam: how far float32 here is from float64 on the CPU."""
    import jax

    import mnnjax.jax_setup  # noqa: F401

    here, cpu = jax.devices()[0], jax.local_devices(backend="cpu")[0]
    seeds = 5 if context["small"] else 30
    for d, N in ((20, 400),) if context["small"] else ((20, 400), (50, 2500)):
        start = random_start(d, N, seeds)
        exact = early_steps(start, EARLY_STEPS, "float64", cpu)
        on_cpu, found = (early_steps(start, EARLY_STEPS, "float32", device) for device in (cpu, here))

        def errors(params, exact=exact) -> np.ndarray:
            pairs = [({n: p[n][k] for n in p} for p in (params, exact)) for k in range(seeds)]
            return np.array([distance(own, other) for own, other in pairs])

        allowed = TIMES_FLOAT32 * float(np.median(errors(on_cpu)))
        what, off = f"d = {d}, N = {N}, {seeds} seeds, {EARLY_STEPS} steps", errors(found)
        yield wanted(f"{what}: relative error of the weights, median", float(np.median(off)), most=allowed)
        yield wanted(f"{what}: seeds beyond", int(np.sum(~(off <= allowed))), most=seeds // ONE_IN_EARLY)
        yield reported(f"{what}: farthest seed", float(off.max()))


def early_steps(start: dict, count: int, precision: str, device) -> dict[str, np.ndarray]:
    """The parameters after so many steps of full-batch Adam on a device, each with the seeds as leading axis."""
    import jax
    import jax.numpy as jnp

    from mnnjax.config import Network, Problem, Train
    from mnnjax.training import make_training

    seeds, N, d = start["X"].shape
    train = Train(learning_rate=1e-2, epochs=count, decay_epochs=0, precision=precision)
    training = make_training(Problem(d0=(d,), N=(N,)), Network(), train, 1, d, d, N)
    arrays = {name: leaf.astype(precision) for name, leaf in start.items()}

    def run(key, W, z, X, y):
        state = training.init(key, {"W1": W, "z": z})
        return training.run_epochs(state, key, X, y, N, jnp.int32(0), count)[0].params

    keys = jax.random.split(jax.random.key(0), seeds)
    placed = jax.device_put((keys, *(arrays[name] for name in ("W", "z", "X", "y"))), device)
    return jax.device_get(jax.jit(jax.vmap(run))(*placed))


# Whole studies.


def start_study(config: Path, workdir: Path, environment: dict[str, str], *more: str) -> subprocess.Popen:
    """`mnnjax run`; what it says goes to a file beside its work folder."""
    command = [sys.executable, "-m", "mnnjax.cli", "run", config, "--workdir", workdir, *more]
    with open(f"{workdir}.log", "a") as log:
        return subprocess.Popen(command, cwd=ROOT, env=os.environ | environment, stdout=log, stderr=log)


def require_code(process: subprocess.Popen, workdir: Path, expected: int) -> None:
    """Wait for its end.

    Raises:
      RuntimeError: it ends with another exit code; with the last line of what it said.
    """
    if (code := process.wait()) != expected:
        lines = Path(f"{workdir}.log").read_text().strip().splitlines() or ["it said nothing"]
        raise RuntimeError(f"mnnjax run ended with {code}, not {expected}: {lines[-1]}")


def read_rows(workdir: Path) -> list[dict[str, str]]:
    with open(workdir / "results.csv", newline="") as file:
        return list(csv.DictReader(file))


def differences(found: Sequence[dict], expected: Sequence[dict]) -> list[dict]:
    """What two results.csv differ in, beyond rounding: a row for each repetition that differs."""
    theirs = {(row["cell"], row["seed"]): row for row in expected}
    own = {(row["cell"], row["seed"]): row for row in found}
    lines = []
    for cell, seed in sorted(theirs.keys() | own.keys(), key=str):
        a, b = own.get((cell, seed)), theirs.get((cell, seed))
        if a is None or b is None:
            lines.append(
                {"cell": cell, "seed": seed, "kind": "missing", "is": "missing here" if b else "missing there"}
            )
            continue
        points = round((float(a["mce"]) - float(b["mce"])) * int(a["N"])) if finite(a, b) else 0
        relative = mse_difference(a, b)
        said = []
        if a["verdict"] != b["verdict"]:
            said.append(f"verdict {a['verdict']}, not {b['verdict']}")
        if points:
            said.append(f"{points:+d} of {a['N']} points wrong")
        if relative > MSE_TOLERANCE[a["precision"]]:
            said.append(f"MSE {float(a['mse']):.3g}, not {float(b['mse']):.3g}")
        if said:
            kind = "non-finite" if not finite(a, b) else "differs"
            lines.append({"cell": cell, "seed": seed, "kind": kind, "is": "; ".join(said)})
    return lines


def finite(*rows: dict) -> bool:
    return all(math.isfinite(float(row["mse"])) for row in rows)


def mse_difference(a: dict, b: dict) -> float:
    """Relative; 0 where both are equal or no numbers, inf where one is."""
    x, y = float(a["mse"]), float(b["mse"])
    if not (math.isfinite(x) and math.isfinite(y)):
        return 0.0 if math.isfinite(x) == math.isfinite(y) else math.inf
    return 0.0 if x == y else abs(x - y) / max(abs(x), abs(y))


def compared(found: Sequence[dict], expected: Sequence[dict], checked: bool) -> Iterator[dict]:
    """Rows about two results.csv. checked: they can fail; else they are only reported."""
    different = differences(found, expected)
    counts = Counter(line["kind"] for line in different)
    names = ("cell", "seed", "verdict", "mce", "mse")
    pairs = [[[row[name] for name in names] for row in rows] for rows in (found, expected)]
    yield wanted("repetitions", len(found), least=len(expected)) | {"_found": pairs[0], "_expected": pairs[1]}
    by_study = defaultdict(list)
    for a, b in zip(found, expected, strict=False):
        by_study[a["study"], a["precision"]].append(mse_difference(a, b))
    for (study, precision), values in by_study.items():
        yield reported(f"{study}, {precision}: largest relative difference of an MSE", max(values))
    for line in different:
        yield reported(f"{line['cell']}, seed {line['seed']}", line["is"])
    if checked:
        yield wanted("missing, or finite in one alone", counts["missing"] + counts["non-finite"], most=0)
        what = f"of {len(expected)}, those whose verdict, MCE or MSE differs"
        yield wanted(what, counts["differs"], most=len(expected) // ONE_IN)
    else:
        yield reported(f"of {len(expected)}, those whose verdict, MCE or MSE differs", len(different))


def quickstart(context: dict) -> Iterator[dict]:
    """quickstart --small here, on the CPU, and on the CPU as one device, whose programs round otherwise: what those two
    differ by is what rounding does."""
    folder, config = Path(context["folder"]), ROOT / "configs" / "quickstart.py"
    environments = {
        "cpu": {"JAX_PLATFORMS": "cpu"},
        "one": {"JAX_PLATFORMS": "cpu", "JAX_NUM_CPU_DEVICES": "1"},
    }
    if context["accelerator"]:
        environments["accelerator"] = {}
    began = time.monotonic()
    # All at once; nothing is timed here but the wall.
    running = {name: start_study(config, folder / name, own, "--small") for name, own in environments.items()}
    for name, process in running.items():
        require_code(process, folder / name, 0)
    yield reported("seconds until all were done, compilation included", time.monotonic() - began)
    rows = {name: read_rows(folder / name) for name in running}
    if context["accelerator"]:
        yield {"what": "accelerator against CPU:", "wanted": "", "measured": "", "met": ""}
        yield from compared(rows["accelerator"], rows["cpu"], checked=True)
    yield {"what": "CPU as one device against CPU:", "wanted": "", "measured": "", "met": ""}
    yield from compared(rows["one"], rows["cpu"], checked=not context["accelerator"])


# Two cells: repetitions side by side, and rows that the devices share.
STOPPED = """
from mnnjax.config import Network, Problem, Study, Train

study = Study(
    name="seeds",
    problem=Problem(d0=(20,), N=(400,)),
    train=Train(learning_rate=1e-2, epochs=1500, decay_epochs=1500, chunk_epochs=10, checkpoint_chunks=20),
    repeats=10,
    also=(
        Study(
            name="rows",
            problem=Problem(d0=(50,), N=(5000,), data_sets=1),
            network=Network(d1=(20,)),
            train=Train(
                learning_rate=3e-3, batch_size=1024, epochs=200, decay_epochs=200, chunk_epochs=2, checkpoint_chunks=20,
                parallel="data", rows_precision="bfloat16",
            ),
            repeats=2,
        ),
    ),
)
"""


def stop(context: dict) -> Iterator[dict]:
    """SIGTERM in each of two cells, and the same command again: results.csv must be that of a run that nobody stopped,
    byte for byte."""
    folder = Path(context["folder"])
    config = folder / "stopped.py"
    config.write_text(STOPPED)
    whole, parts = folder / "whole", folder / "parts"
    require_code(start_study(config, whole, {}), whole, 0)
    for cell in ("seeds", "rows"):
        process = start_study(config, parts, {})
        wait_for_chunks(process, parts, cell, 3)
        process.send_signal(signal.SIGTERM)
        require_code(process, parts, 75)
        epochs = [entry["epoch"] for entry in read_log(parts) if entry["event"] == "stop"]
        yield reported(f"{cell}: SIGTERM, exit code 75, saved at epoch", epochs[-1])
    require_code(start_study(config, parts, {}), parts, 0)
    a, b = read_rows(parts), read_rows(whole)
    same = (parts / "results.csv").read_bytes() == (whole / "results.csv").read_bytes()
    differing = sum(x != y for x, y in zip(a, b, strict=False)) + abs(len(a) - len(b))
    yield wanted("of results.csv, rows that differ from those of an uninterrupted run", differing, most=0)
    yield wanted("files that are equal byte for byte", int(same), least=1)
    if not same:
        yield reported("largest relative difference of an MSE", max(map(mse_difference, a, b)))


def read_log(workdir: Path) -> list[dict]:
    """The whole lines of metrics.jsonl."""
    file = workdir / "metrics.jsonl"
    text = file.read_text() if file.exists() else ""
    return [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]


def wait_for_chunks(process: subprocess.Popen, workdir: Path, study: str, count: int) -> None:
    """Until the study has trained so many chunks in the folder.

    Raises:
      RuntimeError: it ends before.
    """

    def chunks() -> int:
        return sum(e["event"] == "chunk" and e["cell"].startswith(f"{study}.") for e in read_log(workdir))

    before = chunks()
    while chunks() < before + count:
        if process.poll() is not None:
            raise RuntimeError(f"mnnjax run was over before it was stopped, with exit code {process.returncode}")
        time.sleep(0.005)
