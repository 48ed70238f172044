#!/usr/bin/env bash
# Sets up .venv, runs configs/quickstart.py on this machine and prints where the report is.
# Run it again to resume. Takes about two and a half minutes on two CPU cores, after the installation.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
install ""
exec .venv/bin/mnnjax run configs/quickstart.py "$@"
