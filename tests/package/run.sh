#!/usr/bin/env bash
# run.sh BUILD WORK: installs the build into WORK, moves the copy, and builds and runs a program
# outside the tree against it. The move proves that the copy does not depend on where it was put.
set -euo pipefail
build=$1 work=$2
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

rm -rf "$work"
mkdir -p "$work"
cmake --install "$build" --prefix "$work/first" >"$work/install.log"
mv "$work/first" "$work/moved"
cp -r "$here" "$work/source"
cmake -S "$work/source" -B "$work/build" -DCMAKE_BUILD_TYPE=Release -DCMAKE_PREFIX_PATH="$work/moved"
cmake --build "$work/build"
"$work/build/core_user"
"$work/build/package_user"
if [ -x "$work/moved/bin/radgpt" ]; then "$work/moved/bin/radgpt" --help >"$work/help.txt"; fi
