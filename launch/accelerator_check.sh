#!/usr/bin/env bash
# Checks whether mnnjax is right on the GPU or TPU of this machine, and how fast it is there.
# Each of the two parts takes at most five minutes, and no network. Without an accelerator it runs at small sizes.
#
# Usage: bash launch/accelerator_check.sh [right|fast|all] [--out DIR] [--wheels DIR] [--small] [--python PYTHON]
#
# --help lists all options. --python names the Python; the default is $PYTHON, else that of .venv, else python3.
# Exit codes: 0 every check passed; 1 a check failed or broke off; 2 wrong usage, or a package is missing.
set -euo pipefail

root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
python="${PYTHON:-}"
arguments=()
while [ $# -gt 0 ]; do
  case "$1" in
    --python)
      python="${2:-}"
      shift
      ;;
    --python=*) python="${1#*=}" ;;
    *) arguments+=("$1") ;;
  esac
  [ $# -eq 0 ] || shift
done
if [ -z "$python" ]; then
  python=python3
  [ ! -x "$root/.venv/bin/python" ] || python="$root/.venv/bin/python"
fi
if ! command -v "$python" > /dev/null; then
  echo "accelerator_check.sh: $python: no such Python; name one with --python" >&2
  exit 2
fi
export PYTHONPATH="$root${PYTHONPATH:+:$PYTHONPATH}"
exec "$python" -u "$root/tests/benchmarks/accelerator.py" "${arguments[@]+"${arguments[@]}"}"
