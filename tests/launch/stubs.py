"""Stand-ins for commands that are not installed."""

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.project import ROOT

# Says what it was called with, and answers as the test asks in $ANSWER, a Python file.
STUB = f"""#!{sys.executable}
import json, os, sys
with open(os.environ["RECORD"], "a") as record:
    print(json.dumps([os.path.basename(sys.argv[0]), *sys.argv[1:]]), file=record)
if "ANSWER" in os.environ:
    exec(open(os.environ["ANSWER"]).read())
"""


class Stub:
    """A command that records its calls, first on the PATH of the programs that `run` starts."""

    def __init__(self, folder: Path, name: str, answer: str = ""):
        self.record = folder / "calls"
        self.record.touch()
        program = folder / "bin" / name
        program.parent.mkdir()
        program.write_text(STUB)
        program.chmod(0o755)
        (folder / "answer.py").write_text(answer)
        self.environment = os.environ | {
            "PATH": f"{program.parent}:{os.environ['PATH']}",
            "RECORD": str(self.record),
            "ANSWER": str(folder / "answer.py"),
        }

    def run(self, *command, **environment):
        return subprocess.run(
            command, cwd=ROOT, env=self.environment | environment, capture_output=True, text=True, timeout=60
        )

    def calls(self) -> list[list[str]]:
        return [json.loads(line) for line in self.record.read_text().splitlines()]
