#!/usr/bin/env bash
# An MPI program of four ranks under Open MPI, each read by a lastline of its own:
#
#     examples/hosts/mpirun.sh ./a.out
set -euo pipefail

place="unix:$(mktemp -u "${TMPDIR:-/tmp}/lastline-XXXXXX.sock")"
job="mpi-$$"

mpirun -n 4 lastline run --via "$place" --job "$job" -- "$@" &
code=0
lastline attach --via "$place" --job "$job" || code=$?
wait || true
exit "$code"
