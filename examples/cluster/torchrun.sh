#!/usr/bin/env bash
# torchrun.sh RECIPE [FIELD=VALUE …]: all GPUs of this machine, or RANKS processes, by PyTorch's
# torchrun. After a failure it starts all ranks again, which go on from the newest checkpoint.
#
# Several machines: the same line on each, with --nnodes=4 --rdzv-backend=c10d
# --rdzv-endpoint=HOST:29500 instead of --standalone, HOST being one of them.
set -euo pipefail
exec torchrun --standalone --no-python --max-restarts=3 --nproc-per-node="${RANKS:-gpu}" \
  radgpt train "$1" output.existing=resume "${@:2}"
