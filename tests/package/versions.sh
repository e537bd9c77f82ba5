#!/usr/bin/env bash
# versions.sh BUILD WORK: what find_package(radgpt) says of versions. The one that is installed and
# its minor number alone are found; another minor number, another LibTorch and another C++ ABI are
# refused by one line each. <radgpt/version.h> has the same numbers as the package, with every target
# that has headers of ours, in an installed copy and in a tree that holds ours.
set -euo pipefail
build=$1 work=$2

fail() {
  echo "error: $*" >&2
  exit 1
}

rm -rf "$work"
mkdir -p "$work/user" "$work/libtorch/include/torch/csrc/api/include/torch"
cmake --install "$build" --prefix "$work/installed" >"$work/install.log"
cat >"$work/user/CMakeLists.txt" <<'PROJECT'
cmake_minimum_required(VERSION 3.22)
project(user LANGUAGES CXX)
find_package(radgpt ${WANTED} REQUIRED)
foreach(target IN ITEMS radgpt core)
  add_library(uses_${target} OBJECT version.cpp)
  target_link_libraries(uses_${target} PRIVATE radgpt::${target})
  target_compile_definitions(uses_${target} PRIVATE FOUND="${radgpt_VERSION}")
endforeach()
PROJECT
cat >"$work/user/version.cpp" <<'SOURCE'
#include <radgpt/version.h>

#include <string_view>

#if RADGPT_VERSION_MAJOR != 0 || RADGPT_VERSION_MINOR < 1
#error "the numbers of the version must be there for the preprocessor"
#endif
static_assert(std::string_view(RADGPT_VERSION) == FOUND);
static_assert(RADGPT_VERSION_PATCH >= 0);
SOURCE

# configure VERSION OPTION…: what find_package says, in $work/log.
configure() {
  rm -rf "$work/build"
  cmake -S "$work/user" -B "$work/build" -G Ninja -DCMAKE_PREFIX_PATH="$work/installed" \
    -DWANTED="$1" "${@:2}" >"$work/log" 2>&1
}
# refused RULE VERSION OPTION…: it must fail with that line.
refused() {
  if configure "${@:2}"; then fail "must be refused: ${*:2}"; fi
  tr -s ' \n' '  ' <"$work/log" | grep -qF -- "$1" || fail "must say '$1', got: $(cat "$work/log")"
  echo "refused: ${*:2}"
}

refused 'version: 0.1' 0.2
refused 'version: 0.1' 1.0
for header in 'define TORCH_VERSION_MAJOR 1' 'define TORCH_VERSION_MINOR 13' \
  'define TORCH_VERSION_PATCH 1'; do
  echo "#$header" >>"$work/libtorch/include/torch/csrc/api/include/torch/version.h"
done
refused 'which radgpt was built with, got 1.13.1; set RADGPT_LIBTORCH' 0.1 \
  -DRADGPT_LIBTORCH="$work/libtorch"
rm "$work/libtorch/include/torch/csrc/api/include/torch/version.h"
refused 'which radgpt was built with, got unknown; set RADGPT_LIBTORCH' 0.1 \
  -DRADGPT_LIBTORCH="$work/libtorch"
refused 'no LibTorch at /nowhere; set RADGPT_LIBTORCH' 0.1 -DRADGPT_LIBTORCH=/nowhere
refused 'CMAKE_CXX_FLAGS: must leave libstdc++ with its C++11 ABI, which radgpt was built with, got -D_GLIBCXX_USE_CXX11_ABI=0' \
  0.1 -DCMAKE_CXX_FLAGS=-D_GLIBCXX_USE_CXX11_ABI=0
configure 0.1.0 || fail "0.1.0 must be found: $(cat "$work/log")"
configure 0.1 || fail "0.1 must be found: $(cat "$work/log")"
cmake --build "$work/build"
c++ -std=c++20 -fsyntax-only -I "$build/include" -DFOUND='RADGPT_VERSION' "$work/user/version.cpp"
