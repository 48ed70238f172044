"""Figure 5.1 on a GPU, from nothing to the report.

Command:  .venv/bin/python tests/benchmarks/run.py --only gpu
Compares: nothing; the wall time of configs/fig5_1.py, certificates on the host included. What Adam reaches of the
          GPU's matrix and copy rates, at highest precision and in TF32, is in the section adam.
Wanted:   nothing is.
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

from harness import describe_devices

CONFIG = Path(__file__).parents[2] / "configs" / "fig5_1.py"


def run(quick: bool) -> dict:
    if describe_devices()["backend"] != "gpu":
        return {"tables": {"Figure 5.1 on a GPU": [{"rows": "missing: no GPU here"}]}, "wanted": []}
    with tempfile.TemporaryDirectory() as folder:
        command = [Path(sys.executable).with_name("mnnjax"), "run", CONFIG, "--workdir", f"{folder}/run"]
        began = time.perf_counter()
        subprocess.run([*command, *(["--small"] if quick else [])], check=True, stdout=subprocess.DEVNULL)
        seconds = time.perf_counter() - began
    rows = [{"config": "fig5_1.py" + (" --small" if quick else ""), "seconds": seconds}]
    return {"tables": {"Figure 5.1 on a GPU": rows}, "wanted": []}
