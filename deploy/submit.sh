#!/usr/bin/env bash
# Submits a job to a running cluster, follows its log, and exits with the job's code (0 done, 1 something failed,
# 2 wrong input). The job goes on if this script or the connection is interrupted.
#
#   deploy/submit.sh extract|train|tag FILE.toml [ADDRESS] [--env NAME[=VALUE]]... [-- FLAGS OF THE JOB]
#   deploy/submit.sh tag deploy/tag.toml --env CHOREAI_WEBHOOK_URL -- --num-workers 16
#
# --env gives the job a variable of its environment: NAME with the value that it has here, if it has one. Whoever may
# see the cluster's jobs sees these values too.
#
# ADDRESS is http://127.0.0.1:8265, the address that `ray dashboard cluster.yaml` gives, unless given. The token is
# ~/.ray/auth_token; for a cluster without one set RAY_AUTH_MODE=disabled.
set -euo pipefail

fail() {
    echo "submit.sh: $1" >&2
    exit 2
}

[[ $# -ge 2 ]] || fail "usage: deploy/submit.sh extract|train|tag FILE.toml [ADDRESS] [--env NAME[=VALUE]]... [-- FLAGS OF THE JOB]"
case $1 in
    extract) script=jobs/extract_poses.py ;;
    train) script=jobs/train_style.py ;;
    tag) script=jobs/tag_catalog.py ;;
    *) fail "unknown job '$1'; extract, train or tag" ;;
esac
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
[[ -f $2 ]] || fail "there is no file '$2'"
config=$(realpath -- "$2")
[[ $config == "$root"/* ]] || fail "$2 lies outside of $root, and only what is inside reaches the cluster"
if grep -q '^[^#]*CHANGE-ME' "$config"; then
    fail "$2 still says CHANGE-ME: $(grep -n -m 1 '^[^#]*CHANGE-ME' "$config")"
fi
job=$1
shift 2
address=http://127.0.0.1:8265
if [[ $# -gt 0 && $1 != --* ]]; then
    address=$1
    shift
fi
variables=() runtime=()
while [[ ${1:-} == --env ]]; do
    [[ ${2:-} =~ ^[A-Za-z_][A-Za-z0-9_]*(=|$) ]] || fail "--env wants NAME or NAME=VALUE, got '${2:-}'"
    name=${2%%=*}
    if [[ $2 == *=* ]]; then
        export "$name=${2#*=}"
    fi
    if [[ -n ${!name+set} ]]; then
        export "${name?}"
        variables+=("$name")
    else
        echo "submit.sh: $name is not set here, and so not in the job" >&2
    fi
    shift 2
done
if [[ $# -gt 0 ]]; then
    [[ $1 == -- ]] || fail "flags of the job come after --, got '$1'"
    shift
fi

cd "$root"
export RAY_AUTH_MODE=${RAY_AUTH_MODE:-token} PYTHONUNBUFFERED=1
id=$job-$(date -u +%Y%m%d-%H%M%S)-$$
follow=(ray job logs --address "$address" --follow "$id")
trap 'echo "submit.sh: $id goes on; follow it with: ${follow[*]}" >&2; exit 130' INT TERM
if [[ ${#variables[@]} -gt 0 ]]; then
    settings=$(mktemp -d) # in a file: other users of this machine can read command lines
    trap 'rm -rf "$settings"' EXIT
    python - "${variables[@]}" > "$settings/env.json" <<'PY'
import json
import os
import sys

print(json.dumps({"env_vars": {name: os.environ[name] for name in sys.argv[1:]}}))
PY
    runtime=(--runtime-env "$settings/env.json")
fi
ray job submit --address "$address" --submission-id "$id" --no-wait --working-dir . "${runtime[@]}" -- \
    python "$script" --config "${config#"$root"/}" "$@"

# The job's own exit code, nothing while it runs, 130 if it was stopped.
job_exit_code() {
    python - "$address" "$id" <<'PY'
import sys

from ray.job_submission import JobStatus, JobSubmissionClient

info = JobSubmissionClient(sys.argv[1]).get_job_info(sys.argv[2])
if info.status == JobStatus.SUCCEEDED:
    print(0)
elif info.status == JobStatus.STOPPED:
    print(130)
elif info.status == JobStatus.FAILED:
    print(info.driver_exit_code or 1)
PY
}

failures=0
while true; do
    "${follow[@]}" || true # ends early if the connection does; its exit code says nothing about the job
    if code=$(job_exit_code); then
        failures=0
        [[ -z $code ]] || break
    else
        failures=$((failures + 1))
        if [[ $failures -eq 10 ]]; then
            echo "submit.sh: $address does not answer; $id may well go on: ${follow[*]}" >&2
            exit 1
        fi
    fi
    sleep "${SUBMIT_RETRY_SECONDS:-5}"
done
echo "submit.sh: $id ended with exit code $code" >&2
exit "$code"
