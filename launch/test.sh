#!/usr/bin/env bash
# Sets up .venv with the test extras and runs pytest; arguments go to it (-m "slow or not slow": all tests).
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
install "[test]"
exec .venv/bin/python -m pytest "$@"
