#!/usr/bin/env bash
# run.sh BUILD PROGRAM WORK: installs the build, moves the copy, builds the CMake project PROGRAM
# against it as a user would, and runs its executables. The move proves that a copy may be put
# anywhere. Everything happens in the folder WORK.
set -euo pipefail
build=$1 program=$2 work=$3

rm -rf "$work"
mkdir -p "$work/run"
cmake --install "$build" --prefix "$work/first" >"$work/install.log"
mv "$work/first" "$work/moved"
cp -r "$program" "$work/source"
cmake -S "$work/source" -B "$work/build" -G Ninja -DCMAKE_BUILD_TYPE=Release \
  -DCMAKE_PREFIX_PATH="$work/moved" -DCMAKE_RUNTIME_OUTPUT_DIRECTORY="$work/bin"
cmake --build "$work/build"
cd "$work/run"
for executable in "$work"/bin/*; do
  echo "--- $(basename "$executable")"
  "$executable"
done
