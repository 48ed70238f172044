#!/usr/bin/env python
"""Start every shard of a study as a SkyPilot managed job, by launch/sky_sweep.yaml.

Costs to try: list price about 1.2 dollars per hour and v5e chip, so per job; spot about half (look it up).

  start   python launch/sky_submit.py configs/fig5_1.py --shards 8 --bucket gs://BUCKET [-- --train.epochs 500]
  again   python launch/sky_submit.py configs/fig5_1.py --shards 8 --bucket gs://BUCKET --only 3
  watch, stop, fetch: it prints these commands (--dry-run only prints all commands)

Needs SkyPilot (pip install 'skypilot[gcp]') and not mnnjax, so any Python works.
"""

import argparse
import shlex
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        "sky_submit.py", description=__doc__.splitlines()[0], epilog="Further options of mnnjax run come after --."
    )
    parser.add_argument("config", help="a file in configs/, by its path in the repository")
    parser.add_argument("--shards", type=int, required=True, metavar="N", help="how many jobs share the cells")
    parser.add_argument("--bucket", required=True, metavar="gs://BUCKET", help="where results and checkpoints go")
    parser.add_argument("--only", type=int, nargs="+", metavar="I", help="start only these shards, counted from 0")
    parser.add_argument("--dry-run", action="store_true", help="print the commands and start nothing")
    own = arguments[: arguments.index("--")] if "--" in arguments else arguments
    options = parser.parse_args(own)
    options.run_options = arguments[len(own) + 1 :]
    if not (ROOT / options.config).is_file() or Path(options.config).is_absolute():
        parser.error(f"{options.config}: no such file in {ROOT}; the jobs see only this folder")
    if not options.bucket.startswith("gs://"):
        parser.error(f"--bucket {options.bucket}: must start with gs://, since a spot machine's disk is lost with it")
    wrong = [i for i in options.only or [] if not 0 <= i < options.shards]
    if options.shards < 1 or wrong:
        parser.error(f"--shards {options.shards}: shards count from 0 to N-1" + (f", not {wrong[0]}" if wrong else ""))
    options.bucket = options.bucket.rstrip("/")
    options.study = Path(options.config).stem
    options.workdir = f"{options.bucket}/{options.study}"
    return options


def commands(options: argparse.Namespace) -> list[list[str]]:
    """One `sky jobs launch` per shard."""
    environment = {"BUCKET": options.bucket, "CONFIG": options.config, "WORKDIR": options.workdir}
    environment["ARGUMENTS"] = shlex.join(options.run_options)
    started = []
    for i in options.only if options.only is not None else range(options.shards):
        name = f"{options.study}-{i}-of-{options.shards}"
        command = ["sky", "jobs", "launch", "--yes", "--detach-run", "--name", name]
        for variable, value in {**environment, "SHARD": f"{i}/{options.shards}"}.items():
            command += ["--env", f"{variable}={value}"]
        started.append([*command, "launch/sky_sweep.yaml"])
    return started


def main(arguments: list[str]) -> int:
    options = parse(arguments)
    for command in commands(options):
        print(shlex.join(command), flush=True)
        if not options.dry_run:
            try:
                code = subprocess.run(command, cwd=ROOT).returncode
            except FileNotFoundError:
                print("sky_submit.py: `sky` is not installed; pip install 'skypilot[gcp]'", file=sys.stderr)
                return 2
            if code != 0:
                return code
    first, folder = f"{options.study}-0-of-{options.shards}", f"runs/{options.study}"
    print(
        f"watch: sky jobs queue; sky jobs logs --name {first}; mnnjax status {options.workdir}\n"
        f"stop:  sky jobs cancel --name {first}\n"
        f"fetch: gcloud storage rsync -r {options.workdir} {folder}; mnnjax report {folder}"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
