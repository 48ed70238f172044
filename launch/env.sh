# Sourced by the scripts that run mnnjax far away. BUCKET=gs://... names where programs compiled once are kept for all.

# On TPU slices jax 0.10 has process 0 listen on port 8482; before it was 8476, the one that firewalls and pod specs
# made for slices let through. All processes must agree, so it is set here. Not under Slurm: there JAX takes a port
# from the job's number, so that two jobs can have their first process on one node.
if [ -z "${SLURM_JOB_ID:-}" ]; then
  export JAX_COORDINATOR_PORT="${JAX_COORDINATOR_PORT:-8476}"
fi

# Where an image or an earlier job left these behind, JAX believes in several slices and waits for ones that never come.
for name in "${!MEGASCALE_@}"; do
  unset "$name"
done

# A machine that comes anew finds its programs compiled.
if [ -n "${BUCKET:-}" ]; then
  export JAX_COMPILATION_CACHE_DIR="${JAX_COMPILATION_CACHE_DIR:-${BUCKET%/}/compilation_cache}"
fi

# Logs are collected line by line, and what is still in a buffer is lost with the machine.
export PYTHONUNBUFFERED=1
