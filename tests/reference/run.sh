#!/usr/bin/env bash
# run.sh PACKAGES SCRIPT [ARGUMENT…]: runs a script of this folder with the Python packages of a
# folder.
set -euo pipefail
if [ ! -e "$1/.installed" ]; then
  echo "skipped: no third_party/reference (docker/install_dependencies.sh --reference makes it)"
  exit 0
fi
export PYTHONPATH HF_HUB_OFFLINE=1 PYTHONDONTWRITEBYTECODE=1
PYTHONPATH=$(realpath "$1")
# PEFT writes sets in the order of hashes.
export PYTHONHASHSEED=0
# One thread: products are too small for two, which wait for each other on a busy machine.
export OMP_NUM_THREADS=1
exec /usr/bin/python3 "$(dirname "${BASH_SOURCE[0]}")/$2" "${@:3}"
