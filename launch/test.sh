#!/usr/bin/env bash
# Sets up .venv with the test extras and runs pytest with one process per core, at most four. Arguments go to pytest
# (-m "slow or not slow": all tests; -n 0: one process).
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
install "[test]"
exec .venv/bin/python -m pytest --numprocesses logical --maxprocesses 4 --dist worksteal "$@"
