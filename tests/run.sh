#!/usr/bin/env bash
# Installs the dependencies, builds libradgpt and runs its tests. Works on a bare Debian 12 or
# Ubuntu 22.04/24.04, as root or with sudo; from nothing it takes under half an hour on two cores.
#
#   bash tests/run.sh              everything except the exhaustive tests
#   bash tests/run.sh -L unit      any options of ctest instead: a label, -R NAME, …
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

say() { echo "[tests] $*"; }

if [ $# = 0 ]; then set -- --label-exclude exhaustive; fi

say "1/4 dependencies"
bash docker/install_dependencies.sh

# A file with LibTorch in it takes up to 2 GB to compile.
gigabytes=$(awk '/MemAvailable/ {print int($2 / 1048576)}' /proc/meminfo)
jobs=$(nproc)
if [ "$jobs" -gt $((gigabytes / 2)) ]; then jobs=$((gigabytes / 2)); fi
if [ "$jobs" -lt 1 ]; then jobs=1; fi

say "2/4 configuring build/release"
cmake --preset release

say "3/4 building with $jobs jobs"
cmake --build --preset release -j"$jobs"

say "4/4 running the tests"
result=0
ctest --preset release --no-tests=error "$@" || result=$?
log=build/release/Testing/Temporary/LastTest.log
grep '^skipped:' "$log" | sort | uniq -c || say "nothing skipped"
exit $result
