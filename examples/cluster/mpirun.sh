#!/usr/bin/env bash
# mpirun.sh RECIPE [FIELD=VALUE …]: RANKS processes (8 without) on this machine, by Open MPI.
# Open MPI starts the ranks only; they talk to each other without it.
#
# Several machines: add --hostfile FILE -x MASTER_ADDR=HOST, HOST being that of rank 0, by a name
# or an address that all of them reach. Each must find radgpt and all paths of the recipe.
set -euo pipefail
# Without --bind-to none two ranks would get one core each.
exec mpirun -n "${RANKS:-8}" --bind-to none \
  radgpt train "$1" output.existing=resume "${@:2}"
