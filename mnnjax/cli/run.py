"""`mnnjax run`: runs the study of a config file and writes its report."""

import atexit
import logging
import os
import signal
import sys
from collections.abc import Sequence

from mnnjax.cli.report import report
from mnnjax.cli.request import Request, make_request, parse_options
from mnnjax.cli.stops import STOPS, end_interrupted, end_resumable
from mnnjax.errors import EXIT_FAILED, EXIT_STOPPED


def main(arguments: Sequence[str]) -> int:
    """`mnnjax run ARGUMENTS`; returns the exit code, or raises SystemExit after --help."""
    options = parse_options(arguments)
    # Before the config is loaded, which may take long.
    for number in STOPS:
        signal.signal(number, end_interrupted if options.dry_run or options.help else end_resumable)
    try:
        request = make_request(options)
        return _dry_run(request) if request.dry_run else _run(request)
    finally:
        # While Python shuts down it resets these handlers to the system's: a late signal would make a run that is done,
        # or saved, look failed.
        atexit.register(lambda: [signal.signal(number, signal.SIG_IGN) for number in STOPS])


def _run(request: Request) -> int:
    # Imported here: JAX takes seconds to import, and a wrong option should be reported at once.
    from mnnjax import jax_setup
    from mnnjax.study.distributed import process_group, processes

    # Errors that Orbax logs it also raises, and they are reported in one line.
    logging.getLogger("absl").setLevel(logging.CRITICAL)
    jax_setup.use_compilation_cache()
    given = request.coordinator, request.num_processes, request.process_id
    group = process_group.find_group(*given, os.environ, process_group.has_tpu())
    code = processes.run_in_group(group, lambda: _run_process(request))
    if code == 0 and request.shard is None and processes.is_writer():
        print(f"report: {report([request.workdir])}")
    return code


def _run_process(request: Request) -> int:
    """What every process of a run does; its exit code."""
    from mnnjax.study.distributed import processes
    from mnnjax.study.runner import Stopped, StudyError, run_study

    study, shard, path = request.study, request.shard, request.workdir
    try:
        count = run_study(study, path, request.data_dir, shard, request.command)
    except Stopped as stopped:
        if processes.is_writer():
            print(f"{stopped}; run the same command again to resume", flush=True)
        return EXIT_STOPPED
    except StudyError as error:
        print(f"mnnjax: {error}", file=sys.stderr)
        return EXIT_FAILED
    if shard is not None and processes.is_writer():
        done = f"{count} of {count} cells finished" if count else "has no cells, since there are more shards than cells"
        print(f"shard {shard} of {study.name}: {done}; mnnjax report {path} shows all shards")
    return 0


def _dry_run(request: Request) -> int:
    """Print the estimates for the study, or for the shard; nothing is written."""
    from mnnjax import jax_setup
    from mnnjax.study.plan import grid as plan
    from mnnjax.study.resources.estimate import describe, estimate

    jax_setup.use_all_cores()
    cells = plan.check(request.study)
    print("timing the costliest programs (about half a minute) ...", flush=True)
    print(describe(estimate(cells), request.shard.of(cells) if request.shard else None))
    return 0
