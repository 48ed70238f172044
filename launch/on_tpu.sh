#!/usr/bin/env bash
# What a TPU VM runs in its copy of this repository: installs mnnjax if it is missing, then runs `mnnjax ARGUMENTS`.
# sky_sweep.yaml and tpu_queued.sh start it; by hand: BUCKET=gs://... bash launch/on_tpu.sh run configs/fig5_1.py ...
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
source launch/env.sh

# TPU VM images have Python 3.10, too old for JAX; uv installs a newer Python, and pip in the environment.
if [ ! -x .venv/bin/python ]; then
  PIP_BREAK_SYSTEM_PACKAGES=1 python3 -m pip install --quiet --user uv
  python3 -m uv python install --quiet 3.11
  export PYTHON
  PYTHON="$(python3 -m uv python find 3.11)"
fi
install "[tpu,gcs]"
exec .venv/bin/mnnjax "$@"
