#!/usr/bin/env bash
# mpirun.sh BUILD WORK: examples/cluster/mpirun.sh with two and three ranks.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/job.sh"
need mpirun
# Open MPI refuses root, and more ranks than processors, unless told.
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_rmaps_base_oversubscribe=1

make_job
for ranks in 2 3; do
  RANKS=$ranks bash "$examples/mpirun.sh" job.yaml output.folder="ranks_$ranks"
  expect_same "ranks_$ranks" "$ranks"
done

code=0
RANKS=2 bash "$examples/mpirun.sh" job.yaml model.path=/no/such output.folder=fault 2>errors ||
  code=$?
[ "$code" = 3 ] || fail "a model that is not there must end mpirun with 3, got $code"
grep -q '^error: .*model.path: must be a folder' errors || fail "a rank must say its fault"
