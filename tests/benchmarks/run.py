"""The benchmark suite: ours against PyTorch, against the machine, and against itself as shapes grow.

Command:  .venv/bin/pip install -e '.[bench]' && .venv/bin/python tests/benchmarks/run.py [--only NAME ...]
          [--json FILE] [--quick]

Prints tables of medians with ranges, and writes them with the machine's description. Each section's docstring says
what it compares and what is wanted. --quick runs every part with too few repetitions for its numbers to mean anything.
"""

import argparse
import importlib
import importlib.metadata
import json
import os
import platform
import time
from pathlib import Path

from harness import describe_devices, show

SECTIONS = ("adam", "levenberg_marquardt", "certificates", "ranks", "scaling", "memory", "reproducible", "descents")


def machine() -> dict:
    models = [line.split(":")[1].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")]
    versions = {f"{name} version": importlib.metadata.version(name) for name in ("jax", "jaxlib", "torch", "numpy")}
    return {
        "cores": len(os.sched_getaffinity(0)), "CPU": models[0] if models else platform.processor(),
        "load before": os.getloadavg()[0], "Python version": platform.python_version(),
        **versions, **describe_devices(),
    }  # fmt: skip


def _lines(path: str) -> list[str]:
    return Path(path).read_text().splitlines() if Path(path).exists() else []


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=SECTIONS, metavar="NAME", help=", ".join(SECTIONS))
    parser.add_argument("--json", type=Path, help="file to write the numbers to, anew after each section")
    parser.add_argument("--quick", action="store_true", help="a few steps of everything")
    arguments = parser.parse_args()
    record = {"machine": machine(), "quick": arguments.quick, "sections": {}}
    print(show("Machine", [{"what": name, "is": value} for name, value in record["machine"].items()]))
    goals = []
    for name in arguments.only or SECTIONS:
        began = time.monotonic()
        section = importlib.import_module(name).run(arguments.quick)
        section["seconds"] = round(time.monotonic() - began, 1)
        for title, rows in section["tables"].items():
            print(show(title, rows))
        print(f"\n{name}: {section['seconds']:.0f} seconds", flush=True)
        goals += section["wanted"]
        record["sections"][name] = section
        if arguments.json:
            arguments.json.write_text(json.dumps(record, indent=1) + "\n")
    if goals:
        print(show("What was wanted", goals))


if __name__ == "__main__":
    main()
