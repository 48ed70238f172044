"""Whether mnnjax is right on the accelerator of this machine, and how fast it is there.

Command:  bash launch/accelerator_check.sh [right|fast|all]
Two parts, each within PART_SECONDS whatever happens: right (accelerator_right.py) and fast (accelerator_fast.py). Each
section runs in a process of its own, with a limit. One that fails, or is not done in time, leaves a row that says so,
and the rest goes on. Tables are printed, and files written anew, as soon as there is something to say.
"""

import argparse
import contextlib
import importlib
import importlib.util
import json
import multiprocessing
import os
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from harness import show, table

ROOT = Path(__file__).parents[2]
# Of a part. Both together stay below ten minutes, also when a section has to be ended.
PART_SECONDS = 285.0
# Between asking a section's processes to end and ending them.
GRACE_SECONDS = 3.0
NO_ACCELERATOR = "no accelerator: CPU, small sizes, the times mean nothing"
EXIT_WRONG, EXIT_USAGE = 1, 2
# What mnnjax imports, and the packages that have it.
NEEDED = {
    "etils": "etils", "flax": "flax", "jax": "jax", "jaxlib": "jaxlib", "jaxtyping": "jaxtyping", "jinja2": "jinja2",
    "matplotlib": "matplotlib", "numpy": "numpy", "optax": "optax", "orbax.checkpoint": "orbax-checkpoint",
    "rich": "rich", "scipy": "scipy", "sklearn": "scikit-learn", "tensorstore": "tensorstore",
    "threadpoolctl": "threadpoolctl", "tyro": "tyro", "docstring_parser": "docstring_parser", "typeguard": "typeguard",
    "typing_extensions": "typing_extensions",
}  # fmt: skip


class Section(NamedTuple):
    """A function of a module, section(context) -> an iterator of rows, and the seconds that it may take.

    The context: accelerator (bool), platform, small (bool), seconds (its limit), folder (of its own files), and rows of
    the sections before it, by their names. A row is a dictionary; `met` is "NO" in one that says that something is
    wrong. Names that begin with "_" are for the JSON alone.
    """

    name: str
    title: str
    seconds: float
    module: str


MACHINE = Section("machine", "Machine", 90, "accelerator_right")
# The most valuable ones first, but for what others need.
PARTS = {
    "right": (
        Section("numbers", "The same random numbers and products as on the CPU", 60, "accelerator_right"),
        Section("gradients", "Gradients by rows (pmap) against NumPy in float64", 60, "accelerator_right"),
        Section("steps", "Early steps of Adam: float32 here against float64 on the CPU", 60, "accelerator_right"),
        Section("quickstart", "quickstart --small: here against this machine's CPU", 150, "accelerator_right"),
        Section("stop", "A study that is stopped twice and goes on", 120, "accelerator_right"),
    ),
    "fast": (
        Section("limits", "What the machine can do", 50, "accelerator_fast"),
        Section("adam", "Full-batch Adam, a step over all seeds", 90, "accelerator_fast"),
        Section("gaussian_large", "configs/gaussian_large.py", 80, "accelerator_fast"),
        Section("levenberg_marquardt", "Levenberg-Marquardt in float64", 45, "accelerator_fast"),
        Section("adam_torch", "The same Adam in PyTorch, torch.compile", 100, "accelerator_fast"),
    ),
}


def failed(text: str) -> dict:
    """The row of a section that broke."""
    return {"failed": text}


def is_wrong(row: dict) -> bool:
    """Whether the row says that something broke, or is not as it must be."""
    return "failed" in row or row.get("met") == "NO"


def first_line(error: BaseException) -> str:
    """The error in one line."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0][:200]}" if lines else type(error).__name__


def run_section(section: Section, context: dict, seconds: float, on_row: Callable[[dict], None]) -> None:
    """Call on_row with each row of the section, as it comes; at most for so many seconds, and then GRACE_SECONDS."""
    spawn = multiprocessing.get_context("spawn")
    receiver, sender = spawn.Pipe(duplex=False)
    arguments = (sender, section.module, section.name, context | {"seconds": seconds})
    end = time.monotonic() + seconds
    process = spawn.Process(target=_serve, args=arguments)
    process.start()
    sender.close()
    try:
        while receiver.poll(max(end - time.monotonic(), 0.0)):
            kind, value = receiver.recv()
            if kind == "end":
                # It lets go of its devices by itself.
                process.join(GRACE_SECONDS)
                return
            on_row(value)
        on_row(failed(f"not done within {seconds:.0f} s"))
    except EOFError:
        process.join(GRACE_SECONDS)
        on_row(failed(f"its process ended with exit code {process.exitcode}"))
    finally:
        _end(process)


def _serve(pipe: Any, module: str, name: str, context: dict) -> None:
    """The process of a section, whose own processes are in its group."""
    os.setpgrp()
    # What libraries print is no part of the tables.
    os.dup2(2, 1)
    try:
        for row in getattr(importlib.import_module(module), name)(context):
            pipe.send(("row", row))
    except Exception as error:
        pipe.send(("row", failed(first_line(error)) | {"_traceback": traceback.format_exc()}))
    pipe.send(("end", None))


def _end(process: multiprocessing.process.BaseProcess) -> None:
    """End a section's process and all that it started."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
        except ProcessLookupError:
            # Nobody is left, or it has no group yet.
            if not process.is_alive():
                return
            process.kill()
        end = time.monotonic() + GRACE_SECONDS
        while time.monotonic() < end and (process.is_alive() or _group_lives(process.pid)):
            time.sleep(0.05)


def _group_lives(group: int) -> bool:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, 0)
        return True
    return False


class Record:
    """All that was found, on the screen and in accelerator.json and accelerator.md."""

    def __init__(self, folder: Path, arguments: dict):
        self.began = time.monotonic()
        self._folder = folder
        self.content: dict[str, Any] = {
            "began": time.strftime("%Y-%m-%dT%H:%M:%S%z"), "arguments": arguments, "revision": revision(),
            "accelerator": False, "note": "", "machine": {}, "missing": [], "wrong": [], "finished": False,
            "seconds": 0.0, "sections": {},
        }  # fmt: skip

    def add_section(self, section: Section, part: str, context: dict, seconds: float) -> list[dict]:
        """Run it; its rows."""
        began, rows = time.monotonic(), []
        found = {"part": part, "title": section.title, "seconds": 0.0, "rows": rows}
        self.content["sections"][section.name] = found

        def on_row(row: dict) -> None:
            rows.append(row)
            found["seconds"] = round(time.monotonic() - began, 1)
            self._note(section.name, row)
            self.write()

        if seconds < 5:
            on_row(failed("no time was left for it"))
        else:
            run_section(section, context, seconds, on_row)
        found["seconds"] = round(time.monotonic() - began, 1)
        self.write()
        return rows

    def print_section(self, name: str) -> None:
        """Its table, and how long it took."""
        found = self.content["sections"][name]
        print(show(found["title"], found["rows"]))
        print(f"{name}: {found['seconds']:.0f} s, {self.elapsed():.0f} s since the start", flush=True)
        for row in found["rows"]:
            if "_traceback" in row:
                print(row["_traceback"], file=sys.stderr, flush=True)

    def _note(self, name: str, row: dict) -> None:
        if "missing" in row:
            self.content["missing"].append(f"{name}: {row['missing']}")
        if is_wrong(row):
            self.content["wrong"].append(f"{name}: {row.get('failed') or row.get('_what') or row.get('what')}")

    def elapsed(self) -> float:
        return time.monotonic() - self.began

    def write(self) -> None:
        """Both files anew, each whole at any time."""
        self.content["seconds"] = round(self.elapsed(), 1)
        self._replace("accelerator.json", json.dumps(_plain(self.content), indent=1) + "\n")
        self._replace("accelerator.md", self._markdown())

    def _replace(self, name: str, text: str) -> None:
        part = self._folder / f"{name}.part"
        part.write_text(text)
        part.replace(self._folder / name)

    def _markdown(self) -> str:
        lines = [f"{self.content['note']}\n"] if self.content["note"] else []
        for found in self.content["sections"].values():
            header, *cells = table(found["rows"])
            ruled = [header, ["---"] * len(header), *cells]
            lines += [f"\n**{found['title']}**\n"]
            lines += [f"| {' | '.join(cell.replace('|', '/') for cell in line)} |" for line in ruled]
        return "\n".join(lines) + "\n"


def _plain(value: Any) -> Any:
    """For JSON, which knows no NumPy and no NaN."""
    if isinstance(value, dict):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    value = value.tolist() if hasattr(value, "tolist") else value
    if isinstance(value, list):
        return _plain(value)
    return str(value) if isinstance(value, float) and value - value != 0 else value


def revision() -> str:
    """Of the repository; "" where git does not know, as in a copy."""
    if shutil.which("git") is None:
        return ""
    call = {"cwd": ROOT, "capture_output": True, "text": True}
    head = subprocess.run(["git", "rev-parse", "HEAD"], **call)
    changed = subprocess.run(["git", "status", "--porcelain", "--untracked-files=no"], **call).stdout.strip()
    return head.stdout.strip() + (", changed" if changed else "") if head.returncode == 0 else ""


def missing_packages() -> list[str]:
    """Those that this Python lacks."""

    def is_here(name: str) -> bool:
        try:
            return importlib.util.find_spec(name) is not None
        except ModuleNotFoundError:
            return False

    return [package for name, package in NEEDED.items() if not is_here(name)]


def how_to_fetch(packages: Sequence[str]) -> str:
    """One line: what is missing, and where it can be had."""
    own = f"--python-version {sys.version_info.major}.{sys.version_info.minor}"
    return (
        f"{sys.executable} lacks {', '.join(packages)}; where there is a network: python3 -m pip download --no-deps "
        f"--only-binary=:all: {own} --platform manylinux_2_28_{platform.machine()} -d .whl {' '.join(packages)}; "
        "then --wheels .whl"
    )


def install_wheels(wheels: Path, site: Path) -> str:
    """Install all wheels of a folder into another one, for this process and those that it starts; what went wrong."""
    files = sorted(wheels.glob("*.whl"))
    if not files:
        return f"--wheels: {wheels} holds no wheels"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-index", "--no-deps"]
    done = subprocess.run([*pip, "--target", site, *files], capture_output=True, text=True)
    if done.returncode != 0:
        return f"--wheels: {(done.stderr.strip() or 'pip failed').splitlines()[-1]}"
    sys.path.insert(0, str(site))
    importlib.invalidate_caches()
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = f"{site}{os.pathsep}{before}" if before else str(site)
    return ""


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser("accelerator_check.sh", description=__doc__.split("\n\n")[0])
    parser.add_argument("part", nargs="?", default="all", choices=[*PARTS, "all"], help="default: all")
    parser.add_argument(
        "--out", type=Path, default=ROOT / "runs" / "accelerator_check", metavar="DIR",
        help="where accelerator.json and accelerator.md go; default runs/accelerator_check in the repository",
    )  # fmt: skip
    parser.add_argument(
        "--wheels", type=Path, metavar="DIR",
        help="wheels to install for this run alone; default, where something is missing, .whl in the repository",
    )  # fmt: skip
    parser.add_argument("--small", action="store_true", help="small sizes, also on an accelerator")
    parser.add_argument("--python", metavar="PYTHON", help="which Python; the shell script takes it")
    parser.add_argument(
        "--part-seconds", type=float, default=PART_SECONDS, metavar="N", help=f"of a part; default {PART_SECONDS:.0f}"
    )
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns the exit code."""
    options = parse(arguments)
    # So that the processes of a section are ended, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    with tempfile.TemporaryDirectory(prefix="accelerator_check") as scratch:
        site = Path(scratch) / "site"
        wheels = options.wheels
        if wheels is None and missing_packages() and (ROOT / ".whl").is_dir():
            wheels = ROOT / ".whl"
        problem = install_wheels(wheels, site) if wheels else ""
        if not problem and (packages := missing_packages()):
            problem = how_to_fetch(packages)
        try:
            options.out.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            problem = problem or f"--out: {options.out} cannot be made ({error.strerror})"
        if problem:
            print(f"accelerator_check.sh: {problem}", file=sys.stderr)
            return EXIT_USAGE
        os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", f"{scratch}/cache")
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
        # Several processes share the device.
        os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
        return check(options, Path(scratch))


def check(options: argparse.Namespace, scratch: Path, parts: dict[str, tuple[Section, ...]] = PARTS) -> int:
    """Run the sections that were asked for; the exit code."""
    record = Record(options.out, {name: str(value) for name, value in vars(options).items()})
    context = {"accelerator": False, "small": True, "folder": str(scratch), "rows": {}}
    rows = record.add_section(MACHINE, "machine", context, MACHINE.seconds)
    machine = {row["machine"]: row["is"] for row in rows if "machine" in row}
    kind = machine.get("platform", "cpu")
    accelerator = kind != "cpu"
    note = f"{machine.get('devices')} x {machine.get('device')}" if accelerator else NO_ACCELERATOR
    if accelerator and options.small:
        note += ", small sizes, the times mean nothing"
    record.content |= {"machine": machine, "accelerator": accelerator, "note": note}
    record.write()
    print(f"accelerator_check: {note}", flush=True)
    record.print_section(MACHINE.name)
    if record.content["wrong"]:
        # What else could be measured would not be about the accelerator.
        print(_verdict(record.content))
        return EXIT_WRONG
    context |= {"accelerator": accelerator, "platform": kind, "small": options.small or not accelerator}
    # The first part's time includes that of looking at the machine.
    began = record.began
    for name in parts if options.part == "all" else [options.part]:
        for section in parts[name]:
            folder = scratch / section.name
            folder.mkdir()
            left = options.part_seconds - (time.monotonic() - began) - 2 * GRACE_SECONDS
            limit = min(section.seconds * max(options.part_seconds / PART_SECONDS, 1.0), left)
            own = context | {"folder": str(folder)}
            context["rows"] = context["rows"] | {section.name: record.add_section(section, name, own, limit)}
            record.print_section(section.name)
        began = time.monotonic()
    record.content["finished"] = True
    record.write()
    print(f"\n{_verdict(record.content)}; {options.out / 'accelerator.json'}, {record.elapsed():.0f} s in all")
    return EXIT_WRONG if record.content["wrong"] else 0


def _verdict(content: dict) -> str:
    lines = [f"missing: {text}" for text in content["missing"]] + [f"WRONG: {text}" for text in content["wrong"]]
    return "\n".join([*lines, f"{content['note']}: {'something is wrong' if content['wrong'] else 'all is right'}"])


if __name__ == "__main__":
    sys.exit(main())
