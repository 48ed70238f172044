#!/usr/bin/env bash
# One study on one Cloud TPU slice, by queued resources: the request waits until machines are free. `run` uses all
# their chips, and requests a new slice if a spot slice is taken away. Needs gcloud, and
# ssh-add ~/.ssh/google_compute_engine.
#
# Costs to try: list price about 1.2 dollars per hour and v5e chip, 19 for v5litepod-16; spot about half (look it up).
#   The slice costs from its creation until `delete`.
# before  export PROJECT=... ZONE=us-west4-a BUCKET=gs://BUCKET; gcloud storage buckets create $BUCKET
#         defaults: NAME=mnnjax TPU_TYPE=v5litepod-16 RUNTIME=v2-alpha-tpuv5-lite CREATE_FLAGS=--spot
# start   bash launch/tpu_queued.sh run configs/gaussian_large.py
#         requests the slice if there is none, and ends with the study's exit code. Ctrl-C ends only the watching;
#         the same command watches again. `create` requests the slice and does not wait.
# watch   bash launch/tpu_queued.sh watch
# stop    bash launch/tpu_queued.sh stop      saves; then delete, since the slice still costs
# fetch   bash launch/tpu_queued.sh fetch     into runs/NAME
# delete  bash launch/tpu_queued.sh delete
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

fail() {
  echo "tpu_queued.sh: $*" >&2
  exit 2
}
for variable in PROJECT ZONE BUCKET; do
  [ -n "${!variable:-}" ] || fail "$variable is not set; export PROJECT=... ZONE=... BUCKET=gs://..."
done
[[ "$BUCKET" == gs://?* ]] || fail "BUCKET=$BUCKET must start with gs://, since a spot slice's own disks go with it"
BUCKET="${BUCKET%/}"
NAME="${NAME:-mnnjax}"
TPU_TYPE="${TPU_TYPE:-v5litepod-16}"
RUNTIME="${RUNTIME:-v2-alpha-tpuv5-lite}"
POLL_SECONDS="${POLL_SECONDS:-60}"
read -ra create_flags <<< "${CREATE_FLAGS---spot}"
scratch="$(mktemp -d)"
trap 'rm -rf "$scratch"' EXIT
where=(--project="$PROJECT" --zone="$ZONE" --quiet)

# The state of the request; empty if there is none.
state() {
  gcloud compute tpus queued-resources list "${where[@]}" --filter="name~/$NAME\$" --format="value(state.state)"
}

create() {
  echo "requesting $NAME, $TPU_TYPE in $ZONE"
  gcloud compute tpus queued-resources create "$NAME" "${where[@]}" --node-id="$NAME" \
    --accelerator-type="$TPU_TYPE" --runtime-version="$RUNTIME" "${create_flags[@]}"
}

delete() {
  gcloud compute tpus queued-resources delete "$NAME" "${where[@]}" --force
}

on_workers() {
  gcloud compute tpus tpu-vm ssh "$NAME" "${where[@]}" --worker="$1" --command="$2"
}

# One line per worker: running, stopped, or the exit code; 75 also for a worker that died or never started.
workers() {
  # shellcheck disable=SC2016  # for the workers to expand
  on_workers all 'cd ~/mnnjax-run 2>/dev/null || { echo mnnjax: 75; exit 0; }
    if kill -0 "$(cat pid 2>/dev/null)" 2>/dev/null; then echo mnnjax: running
    elif [ -f stopped ]; then echo mnnjax: stopped
    else echo mnnjax: "$(cat code 2>/dev/null || echo 75)"; fi' | sed -n 's/^mnnjax: //p' | sort -u
}

start() {
  local archive="$scratch/mnnjax.tgz" arguments
  echo "starting on all workers of $NAME: mnnjax $*"
  tar -czf "$archive" --exclude=__pycache__ --exclude=results \
    pyproject.toml constraints.txt README.md LICENSE mnnjax configs launch
  arguments="$(printf '%q ' "$@")"
  # Not a child of ssh: training continues when this machine sleeps. The exit code is written to a file.
  gcloud compute tpus tpu-vm scp "$archive" "$NAME:mnnjax.tgz" "${where[@]}" --worker=all && on_workers all "
    mkdir -p ~/mnnjax-run && cd ~/mnnjax-run && rm -f code stopped && tar -xzf ~/mnnjax.tgz || exit
    export BUCKET=$BUCKET
    nohup setsid bash -c 'bash launch/on_tpu.sh \"\$@\"; echo \$? > code' mnnjax $arguments >> log 2>&1 < /dev/null &
    echo \$! > pid"
}

run() {
  [ $# -gt 0 ] || fail "run: give a config: run configs/gaussian_large.py [options of mnnjax run]"
  [ -f "$1" ] || fail "run: $1: no such file"
  # Exit codes left by an earlier run do not count: they count once this run has started the workers or seen them run.
  local seen="" now codes code theirs_counts=""
  while true; do
    now="$(state)" || now="unknown"
    [ "$now" = "$seen" ] || echo "$NAME: ${now:-none}"
    seen="$now"
    case "$now" in
      ACTIVE | unknown) ;;
      *) theirs_counts="" ;;
    esac
    case "$now" in
      "") create ;;
      # Taken away, or never created: such a request keeps its name and quota, and never recovers by itself.
      SUSPENDED | FAILED) delete && continue ;;
      ACTIVE)
        codes="$(workers)" || codes="unknown"
        case "$codes" in
          "" | *unknown*) ;;
          *running*) theirs_counts=yes ;;
          *)
            if [ -n "$theirs_counts" ]; then
              # If one worker fails, the others save and end with 75: the code of the failed worker counts.
              for code in $codes; do
                case "$code" in
                  0 | 75) ;;
                  stopped) return 75 ;;
                  *) echo "a worker ended with $code; its log: bash launch/tpu_queued.sh watch" && return "$code" ;;
                esac
              done
              [ "$codes" != 0 ] || return 0
            fi
            # If this fails, since the slice has just been taken away, the next turn tries again.
            start run "$@" --workdir "$BUCKET/$NAME" && theirs_counts=yes
            ;;
        esac
        ;;
    esac
    sleep "$POLL_SECONDS"
  done
}

[ $# -gt 0 ] || fail "give one of create, run CONFIG, watch, stop, fetch, delete"
command="$1"
shift
case "$command" in
  create)
    case "$(state)" in SUSPENDED | FAILED) delete ;; esac
    [ -n "$(state)" ] || create
    ;;
  run) run "$@" ;;
  watch)
    echo "$NAME: $(state)"
    on_workers 0 'tail -n 20 -F ~/mnnjax-run/log'
    ;;
  stop)
    # shellcheck disable=SC2016  # for the workers to expand
    on_workers all 'cd ~/mnnjax-run && touch stopped && pkill -TERM -P "$(cat pid)"'
    echo "stop request sent: they save, and \`run\` ends with 75. The slice costs until \`delete\`."
    ;;
  fetch) gcloud storage rsync --recursive "$BUCKET/$NAME" "runs/$NAME" && echo "mnnjax report runs/$NAME" ;;
  delete) delete ;;
  *) fail "unknown command $command; give one of create, run CONFIG, watch, stop, fetch, delete" ;;
esac
