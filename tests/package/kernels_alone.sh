#!/usr/bin/env bash
# kernels_alone.sh SOURCE PROGRAM WORK: builds and installs kernels/ of the tree SOURCE as a project
# of its own, and a program against that copy: neither looks for LibTorch. Then, with nvcc, what is
# tested and measured on a GPU. Everything happens in the folder WORK.
set -euo pipefail
source=$1 program=$2 work=$3

rm -rf "$work"
mkdir -p "$work"
# One architecture, that of a GPU if there is one: kernel_resources compiles for all of them.
architecture=$(nvidia-smi --query-gpu=compute_cap --format=csv,noheader 2>/dev/null |
  sed -n '1s/\.//p' || true)
cmake -S "$source/kernels" -B "$work/kernels" -G Ninja -DRADGPT_BUILD_TESTS=OFF \
  -DCMAKE_CUDA_ARCHITECTURES="${architecture:-90}"
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

# The sanitizers' builds have no nvcc, so that here alone tests and benchmark are built for a GPU.
if ! command -v nvcc >/dev/null; then
  count=$(cat "$source"/tests/kernels/*_test.cpp | grep -c '^\(TEMPLATE_\)\?TEST_CASE')
  echo "skipped: no nvcc; $count test cases"
  exit 0
fi
launcher=()
if command -v ccache >/dev/null; then launcher=(-DCMAKE_CXX_COMPILER_LAUNCHER=ccache); fi
cmake -S "$source/kernels" -B "$work/kernels" -DRADGPT_BUILD_TESTS=ON "${launcher[@]}"
cmake --build "$work/kernels" --target kernels_gpu_test kernel_table
"$work/kernels/tests/kernels_gpu_test"
