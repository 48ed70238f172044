# Sourced by the scripts that run mnnjax on remote machines. BUCKET=gs://... is where they share compiled programs.

# On TPU slices process 0 of jax 0.10 listens on port 8482. Earlier versions used 8476, the port that firewalls and pod
# specs for slices allow. All processes must agree, so it is set here. Not under Slurm: there JAX derives a port from
# the job's number, so that two jobs can have their first process on one node.
if [ -z "${SLURM_JOB_ID:-}" ]; then
  export JAX_COORDINATOR_PORT="${JAX_COORDINATOR_PORT:-8476}"
fi

# If an image or an earlier job left these variables, JAX expects several slices, and waits for some that do not exist.
for name in "${!MEGASCALE_@}"; do
  unset "$name"
done

# A new machine finds its programs compiled.
if [ -n "${BUCKET:-}" ]; then
  export JAX_COMPILATION_CACHE_DIR="${JAX_COMPILATION_CACHE_DIR:-${BUCKET%/}/compilation_cache}"
fi

# Logs are collected line by line; text that is still in a buffer is lost with the machine.
export PYTHONUNBUFFERED=1
