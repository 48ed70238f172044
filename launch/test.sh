#!/usr/bin/env bash
# Sets up .venv with the test extras and runs pytest; arguments go to pytest (such as -m "not slow").
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
install "[test]"
exec .venv/bin/python -m pytest "$@"
