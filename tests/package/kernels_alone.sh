#!/usr/bin/env bash
# kernels_alone.sh SOURCE PROGRAM WORK: builds and installs kernels/ of the tree SOURCE as a project
# of its own, and a program against that copy: neither looks for LibTorch. Everything happens in the
# folder WORK.
set -euo pipefail
source=$1 program=$2 work=$3

rm -rf "$work"
mkdir -p "$work"
cmake -S "$source/kernels" -B "$work/kernels" -G Ninja -DRADGPT_BUILD_TESTS=OFF \
  -DCMAKE_CUDA_ARCHITECTURES=90  # kernel_resources compiles for all of them
cmake --build "$work/kernels"
cmake --install "$work/kernels" --prefix "$work/installed" >"$work/install.log"
if grep -rlE '<(ATen|c10|torch)/' "$work/installed"; then
  echo "these headers need LibTorch"
  exit 1
fi
cmake -S "$program" -B "$work/build" -G Ninja -DCMAKE_BUILD_TYPE=Release \
  -DCMAKE_PREFIX_PATH="$work/installed" -DCMAKE_RUNTIME_OUTPUT_DIRECTORY="$work/bin"
cmake --build "$work/build"
for executable in "$work"/bin/*; do "$executable"; done
