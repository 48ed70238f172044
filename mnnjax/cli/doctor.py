"""`mnnjax doctor`: the facts for a bug report, and the problems of this machine that would stop a study."""

import importlib.metadata
import os
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mnnjax import __version__
from mnnjax.cli.parser import OneLineParser, json_text, local_path, nearest_existing
from mnnjax.errors import EXIT_FAILED
from mnnjax.terminal import show
from mnnjax.wording import size

DESCRIPTION = """Print what a bug report needs: versions, devices, precision, memory, disk and data;
and the problems that would stop a study, with a hint for each."""
EPILOG = """exit codes: 0 no problem found; 1 problems, one per line that begins with `hint:`

examples:
  mnnjax doctor
  mnnjax doctor --workdir /scratch/runs --json"""
PACKAGES = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "tensorstore", "numpy", "scipy", "matplotlib", "tyro")
# Optional packages, and the extra that installs each.
OPTIONAL = {"tensorflow-datasets": "data", "tensorflow-cpu": "data", "gcsfs": "gcs"}
# Prefixes of environment variables that change what a run does.
VARIABLES = ("JAX_", "XLA_", "MNNJAX_", "CUDA_VISIBLE", "TPU_", "SLURM_NTASKS", "NPROC", "OMP_NUM", "OPENBLAS_NUM")
# With fewer bytes than these a run may fail on a full disk or out of memory.
LITTLE_DISK, LITTLE_MEMORY = 10**9, 10**9
# Largest relative error of a product of 256 float32 numbers: below 1e-6 for float32, above this for TF32 and bfloat16.
FLOAT32_ERROR = 1e-5


def make_parser() -> OneLineParser:
    """The parser of the command's arguments."""
    parser = OneLineParser("mnnjax doctor", description=DESCRIPTION, epilog=EPILOG)
    parser.add_argument("--json", action="store_true", help="print JSON")
    here = "where studies will be written; default: here"
    parser.add_argument("--workdir", type=local_path, metavar="DIR", help=here)
    parser.add_argument("--data-dir", type=local_path, metavar="DIR", help="where `mnnjax data` stores images")
    return parser


def main(arguments: Sequence[str]) -> int:
    """`mnnjax doctor ARGUMENTS`; returns the exit code."""
    options = make_parser().parse_args(arguments)
    found = examine(options.data_dir, options.workdir)
    print(json_text(found)) if options.json else show(describe(found))
    return EXIT_FAILED if found["hint"] else 0


def examine(data_dir: Path | None = None, workdir: Path | None = None) -> dict[str, dict | list[str]]:
    """Section -> name -> value, sizes in bytes; the section `hint` lists the problems and what to do about each."""
    import jax

    from mnnjax import jax_setup
    from mnnjax.data import default_folder, list_stored
    from mnnjax.host_memory import free_memory
    from mnnjax.study.resources.machine import machine

    # Before JAX and mnnjax add their own.
    environment = {name: os.environ[name] for name in sorted(os.environ) if name.startswith(VARIABLES)}
    jax_setup.use_all_cores()
    jax_setup.use_compilation_cache()
    data_dir, workdir = Path(data_dir or default_folder()), Path(workdir or ".")
    cache = Path(jax_setup.setting("jax_compilation_cache_dir"))
    sizes = [path.stat().st_size for path in cache.rglob("*") if path.is_file()]
    # An accelerator's own memory; CPUs have no statistics.
    limit = (jax.local_devices()[0].memory_stats() or {}).get("bytes_limit")
    folders = {"work folder": workdir, "compilation cache": cache, "data": data_dir}
    known = versions()
    stored = {row["name"]: row["state"].split(":")[0] for row in list_stored(data_dir, verify=False)}
    found = {
        "versions": known,
        "machine": {"backend": jax.default_backend()} | {k: v for k, v in machine().items() if k not in known},
        "precision": {
            "float64": "on" if jax_setup.setting("jax_enable_x64") else "off",
            "matrix products": str(jax_setup.setting("jax_default_matmul_precision")),
            "error of a float32 product": float32_error(),
        },
        "memory": {"free": free_memory()} | ({"of each device": limit} if limit else {}),
        "disk": {name: shutil.disk_usage(nearest_existing(path.resolve())).free for name, path in folders.items()},
        "compilation cache": {"folder": str(cache), "files": len(sizes), "bytes": sum(sizes)},
        "data": {"folder": str(data_dir)} | stored,
        "environment": environment,
    }
    return found | {"hint": hints(found, {"the work folder": workdir, "the compilation cache": cache})}


def hints(found: Mapping[str, Mapping], folders: Mapping[str, Path]) -> list[str]:
    """The problems that would stop a study, one line each, with what to do; folders: those that it writes to."""
    lines = []
    error, backend = found["precision"]["error of a float32 product"], found["machine"]["backend"]
    if not error < FLOAT32_ERROR:
        lines.append(f"float32 products on {backend} are off by {error:.1g}: train with --train.precision float64")
    if found["precision"]["float64"] != "on":
        lines.append("float64 is off, and certificates need it: unset JAX_ENABLE_X64")
    if backend == "cpu" and shutil.which("nvidia-smi"):
        lines.append("there is an NVIDIA driver, but JAX runs on the CPU: pip install -e '.[cuda]'")
    free = found["memory"]["free"]
    if free is not None and free < LITTLE_MEMORY:
        lines.append(f"only {size(free)} of memory is free: close other programs, or use a larger machine")
    for name, folder in folders.items():
        there = nearest_existing(folder.resolve())
        if not there.is_dir():
            lines.append(f"{name} cannot be made ({there} is a file): choose another")
        elif not _writable(there):
            lines.append(f"{name} cannot be written ({there}): choose another, or change its permissions")
        elif shutil.disk_usage(there).free < LITTLE_DISK:
            lines.append(f"{name} has {size(shutil.disk_usage(there).free)} left on its disk: free some space")
    return lines


def describe(found: Mapping[str, Mapping | Sequence[str]]) -> str:
    """The result of `examine` as text, one aligned line per value."""
    lines = []
    for section, values in found.items():
        if not isinstance(values, Mapping):
            lines += [f"hint: {text}" for text in values] or ["no problem found"]
            continue
        shown = {name: _text(section, name, value) for name, value in values.items()} or {"": "none"}
        lines.append(section)
        lines += [f"  {name:<28}{text}".rstrip() for name, text in shown.items()]
    return "\n".join(lines)


def versions() -> dict[str, str]:
    """The versions of Python and of the packages that results and files depend on."""
    found = {"mnnjax": __version__, "python": sys.version.split()[0]}
    for name in (*PACKAGES, *OPTIONAL):
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = f"absent (extra {OPTIONAL[name]})" if name in OPTIONAL else "absent"
    return found


def float32_error() -> float:
    """Largest relative error of float32 matrix products on the default device, against float64 on the host."""
    import jax
    import numpy as np

    rng = np.random.default_rng(0)
    a, b = (rng.uniform(0.5, 1.5, (256, 256)).astype(np.float32) for _ in range(2))
    exact = a.astype(np.float64) @ b.astype(np.float64)
    return float(np.abs(np.asarray(jax.numpy.asarray(a) @ jax.numpy.asarray(b)) / exact - 1).max())


def _writable(folder: Path) -> bool:
    try:
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


def _text(section: str, name: str, value: Any) -> str:
    if section in ("memory", "disk") or name == "bytes":
        return "unknown" if value is None else size(value)
    return f"{value:.1e}" if isinstance(value, float) else str(value)
