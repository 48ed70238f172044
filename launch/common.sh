# Sourced by the other scripts: changes to the repository's root and makes .venv there.
# PYTHON=... chooses another Python (3.11 or newer) for a new .venv.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# install EXTRAS: put the project and its extras (such as [test]) into .venv; quick if nothing has changed.
install() {
  if ! .venv/bin/python -c 'import pip' 2>/dev/null; then
    local python="${PYTHON:-}"
    if [ -z "$python" ]; then
      for candidate in python3.11 python3 python3.12 python3.13 python3.14; do
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
          python="$candidate"
          break
        fi
      done
    fi
    if [ -z "$python" ]; then
      echo "launch: no Python 3.11 or newer found; install one, or name it: PYTHON=/path/to/python3.11 bash $0" >&2
      exit 2
    fi
    echo "launch: making .venv with $("$python" --version)"
    rm -rf .venv
    "$python" -m venv .venv
  fi
  # These files say what to install: if they have not changed since the last time, there is nothing to do.
  local wanted stamp=".venv/installed$1"
  wanted="$(cat pyproject.toml constraints.txt | sha256sum)"
  if [ "$(cat "$stamp" 2>/dev/null)" != "$wanted" ]; then
    echo "launch: installing mnnjax$1 into .venv"
    .venv/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable ".$1"
    echo "$wanted" > "$stamp"
  fi
}
