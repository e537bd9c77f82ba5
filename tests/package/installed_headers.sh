#!/usr/bin/env bash
# installed_headers.sh BUILD WORK: no installed header includes one that cmake/public_headers.cmake
# keeps back, and all of them together compile against the installed copy, those of the folders
# without LibTorch with radgpt::core alone. That each compiles alone, tests/headers has shown in the
# tree.
set -euo pipefail
build=$1 work=$2

fail() {
  echo "error: $*" >&2
  exit 1
}

rm -rf "$work"
mkdir -p "$work/source"
cmake --install "$build" --prefix "$work/installed" >"$work/install.log"
copy=$work/installed/include/radgpt
cd "$copy"
find . -name '*.h' -printf '%P\n' | sort >"$work/headers"
[ "$(wc -l <"$work/headers")" -gt 50 ] || fail "the headers must be installed"
if find . -name '*_cpu.h' -o -name '*.cuh' -o -name 'composite_node.h' | grep .; then
  fail "these belong to the inside of kernels/ and ops/"
fi
grep -rhoE '^#include "[^"]*"' . | cut -d'"' -f2 | sort -u >"$work/included"
if comm -13 "$work/headers" "$work/included" | grep .; then
  fail "installed headers include these, which are not installed"
fi

core='^libradgpt/(base|formats|config|data|eval/metrics)/[^/]*$|^radgpt/'
grep -E "$core" "$work/headers" >"$work/core"
grep '^kernels/' "$work/headers" >"$work/kernels"
cp "$work/headers" "$work/radgpt"
for target in core kernels radgpt; do
  sed 's/.*/#include <&>/' "$work/$target" >"$work/source/$target.cpp"
done
cat >"$work/source/CMakeLists.txt" <<'PROJECT'
cmake_minimum_required(VERSION 3.22)
project(installed_headers LANGUAGES CXX)
find_package(radgpt 0.1 REQUIRED)
foreach(target IN ITEMS core kernels radgpt)
  add_library(${target}_headers OBJECT ${target}.cpp)
  target_link_libraries(${target}_headers PRIVATE radgpt::${target})
endforeach()
PROJECT
cmake -S "$work/source" -B "$work/build" -G Ninja -DCMAKE_PREFIX_PATH="$work/installed"
cmake --build "$work/build"
