#!/usr/bin/env bash
# Builds the kernels, the executor and their tests with sanitizers and runs them, without LibTorch.
#
#   bash tests/kernels/sanitized.sh asan|tsan BUILD_DIR
#
# asan: AddressSanitizer and UndefinedBehaviorSanitizer, all tests. tsan: ThreadSanitizer, the test
# cases tagged [small] or [cuda]. In both, faults that only a sanitizer sees are planted and must be
# reported.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
build=$2
case $1 in
  asan) flags="-fsanitize=address,undefined -fno-sanitize-recover=all" ;;
  tsan) flags="-fsanitize=thread" ;;
  *) echo "sanitized.sh: asan or tsan, got $1" >&2 && exit 2 ;;
esac
generator=()
if command -v ninja >/dev/null; then generator=(-G Ninja); fi
if command -v ccache >/dev/null; then generator+=(-DCMAKE_CXX_COMPILER_LAUNCHER=ccache); fi

cmake -S "$root/kernels" -B "$build" "${generator[@]}" -DCMAKE_BUILD_TYPE=RelWithDebInfo \
  -DCMAKE_CXX_FLAGS="$flags -fno-omit-frame-pointer -Wno-maybe-uninitialized" \
  -DCMAKE_CXX_FLAGS_RELWITHDEBINFO="-O1 -g1" -DRADGPT_CUDA=OFF >/dev/null
cmake --build "$build" -j"$(nproc)"
ctest --test-dir "$build" --output-on-failure --no-tests=error
