#!/usr/bin/env bash
# Checks and measures libradgpt on a machine with an NVIDIA GPU, in one command and eight minutes at
# most:
#
#   bash benchmarks/gpu.sh
#
# needs nvcc of CUDA 13 and what docker/install_dependencies.sh needs. LibTorch with CUDA is the
# folder RADGPT_LIBTORCH of the environment, or that of the project, or that of Python's torch 2.11,
# or is downloaded into build/gpu.
# Leaves in build/gpu: DEVICE.csv (columns: benchmarks/README.md), summary.md (one page), and the
# output of each part. Every part has a time limit, and a failure of one does not stop the others.
# Exit status 1 if any part failed, 4 if nothing could be built here.
set -uo pipefail

readonly minutes=8
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
readonly root out=$root/build/gpu
readonly own_third_party=$out/third_party # that of the project stays as it is
failed=0
parts=() # one line of summary.md each

say() { echo "[gpu] $*"; }
stop() {
  echo "error: benchmarks/gpu.sh: $*" >&2
  exit 4
}
seconds_left() { echo $((minutes * 60 - SECONDS)); }

# record NAME STATUS BEGIN: a line for the summary.
record() {
  local result=ok
  case $2 in
    0) ;;
    124) result="FAILED: time is up" && failed=1 ;;
    missing) result="NOT RUN: $4" ;;
    *) result="FAILED: status $2, see $1.log" && failed=1 ;;
  esac
  parts+=("| $1 | $result | $((SECONDS - $3)) |")
  say "$1: $result ($((SECONDS - $3)) s)"
}

# limited SECONDS LOG COMMAND…: runs a command or a function of this file, for at most so long.
limited() {
  # shellcheck disable=SC2016  # the inner shell's arguments
  timeout -k 5 "$1" bash -c '"$@"' limited "${@:3}" >"$2" 2>&1
}

# part NAME SECONDS COMMAND…: the same with its output in NAME.log, and a line for the summary.
part() {
  local name=$1 limit=$2 begin=$SECONDS left
  shift 2
  left=$(seconds_left)
  if [ "$left" -lt 5 ]; then
    record "$name" 124 "$begin"
    return 1
  fi
  limited "$((limit < left ? limit : left))" "$out/$name.log" "$@"
  local status=$?
  record "$name" "$status" "$begin"
  return "$status"
}

# --- building -----------------------------------------------------------------------------------

query() { nvidia-smi --id=0 --query-gpu="$1" --format=csv,noheader | head -1; }

find_tools() {
  command -v nvidia-smi >/dev/null || stop "no nvidia-smi: this needs a machine with an NVIDIA GPU"
  command -v nvcc >/dev/null || PATH=$PATH:/usr/local/cuda/bin
  command -v nvcc >/dev/null || stop "no nvcc; CUDA 13 is needed"
  local release capability
  release=$(nvcc --version | sed -n 's/.*release \([0-9.]*\),.*/\1/p')
  [[ $release == 13.* ]] || stop "CUDA 13 is needed, and nvcc is of ${release:-an unknown release}"
  capability=$(query compute_cap)
  [[ $capability =~ ^[0-9]+\.[0-9]+$ ]] || stop "nvidia-smi names no GPU: $capability"
  architecture=${capability/./}
  [ "$architecture" -ge 80 ] || stop "compute capability 8.0 or more is needed, got $capability"
  PATH=$PATH:$(dirname "$(readlink -f "$(command -v nvcc)")") # compute-sanitizer is there
  export PATH
}

# The folder of LibTorch with CUDA that is there already, or nothing.
find_libtorch() {
  local folder
  if [ -n "${RADGPT_LIBTORCH:-}" ]; then
    [ -e "$RADGPT_LIBTORCH/lib/libtorch_cuda.so" ] ||
      stop "RADGPT_LIBTORCH must be a LibTorch with CUDA; no $RADGPT_LIBTORCH/lib/libtorch_cuda.so"
    libtorch=$(realpath "$RADGPT_LIBTORCH")
    return
  fi
  folder=$(python3 -c 'import os, torch
if torch.__version__.startswith("2.11."): print(os.path.dirname(torch.__file__))' 2>/dev/null)
  for folder in "$root/third_party/libtorch" "$folder"; do
    if [ -e "$folder/lib/libtorch_cuda.so" ]; then
      libtorch=$(realpath "$folder")
      return
    fi
  done
}

# What kernels/ and its tests are built with.
install_packages() {
  local missing=() tool
  if command -v apt-get >/dev/null; then
    RADGPT_THIRD_PARTY=$own_third_party timeout --foreground 55 \
      bash "$root/docker/install_dependencies.sh" --packages
    return
  fi
  for tool in g++ cmake make; do command -v "$tool" >/dev/null || missing+=("$tool"); done
  cmake --find-package -DNAME=Catch2 -DCOMPILER_ID=GNU -DLANGUAGE=CXX -DMODE=EXIST \
    >/dev/null 2>&1 || missing+=(Catch2)
  [ ${#missing[@]} = 0 ] || stop "no apt-get here, and without it these must be: ${missing[*]}"
}

# Everything but LibTorch, where that is given: the installer takes a finished folder for its own.
install_dependencies() {
  local name
  if [ -n "$libtorch" ]; then
    mkdir -p "$own_third_party/libtorch"
    echo "torch 2.11.0 cuda" >"$own_third_party/libtorch/.installed"
  fi
  for name in sentencepiece jieba; do
    if [ -e "$root/third_party/$name/.installed" ] && [ ! -e "$own_third_party/$name" ]; then
      ln -s "$root/third_party/$name" "$own_third_party/"
    fi
  done
  RADGPT_THIRD_PARTY=$own_third_party bash "$root/docker/install_dependencies.sh" --cuda
}

# configure_and_build SOURCE BUILD TARGETS OPTION…
configure_and_build() {
  local source=$1 build=$2 targets=$3 generator=() target_list
  shift 3
  read -ra target_list <<<"$targets"
  if command -v ninja >/dev/null; then generator=(-G Ninja); fi
  cmake -S "$source" -B "$build" "${generator[@]}" -DCMAKE_BUILD_TYPE=Release \
    -DRADGPT_BUILD_TESTS=ON -DCMAKE_CUDA_ARCHITECTURES="$architecture" "$@" &&
    cmake --build "$build" -j"$(nproc)" --target "${target_list[@]}"
}

build_with_libtorch() {
  install_dependencies || return
  configure_and_build "$root" "$out/with_libtorch" \
    "adapted_linear decoder_layer train_step radgpt_executable" \
    -DRADGPT_THIRD_PARTY="$own_third_party" \
    -DRADGPT_LIBTORCH="${libtorch:-$own_third_party/libtorch}"
}

# --- checks and measurements --------------------------------------------------------------------

# The test cases pass where the program sees no GPU; here it must. Each is named when it ends, so
# that the log of a hang says how far they came.
kernels_on_gpu() {
  stdbuf -oL "$kernels/tests/kernels_gpu_test" --durations yes || return
  ! grep -q '^skipped' "$out/kernels_gpu.log"
}

sanitize() {
  local tool=$1
  if ! command -v compute-sanitizer >/dev/null; then
    record "$tool" missing "$SECONDS" "no compute-sanitizer"
    return
  fi
  part "$tool" 30 compute-sanitizer --tool "$tool" --error-exitcode 3 \
    "$kernels/tests/kernels_gpu_test" "[cuda],[small]"
}

# Linear layers of a 7B model: attention's output, packed q, k and v, gate and up, down.
square() { echo "$1 4096 4096"; }
others() { echo "$1 4096 12288 $1 4096 22016 $1 11008 4096"; }

# All kernels once at each shape; at the other ranks and dropouts those that these matter to.
# shellcheck disable=SC2046  # lists of numbers
kernel_tables() {
  local rank dropout kernels_of status=0
  for rank in 8 16 64; do
    for dropout in 0 0.1; do
      kernels_of=adapted
      if [ "$rank $dropout" = "16 0.1" ]; then kernels_of=all; fi
      "$kernels/benchmarks/kernel_table" --kernels "$kernels_of" --runs 15 --results "$out" \
        "$rank" "$dropout" $(square 4096) $(others 4096) $(square 8192) $(others 8192) || status=1
    done
  done
  return "$status"
}

# shellcheck disable=SC2046
adapted_linears() {
  local rank dropout more status=0
  for rank in 8 16 64; do
    for dropout in 0 0.1; do
      more=
      if [ "$rank $dropout" = "16 0.1" ]; then more="$(square 4096) $(others 8192)"; fi
      # shellcheck disable=SC2086
      "$out/with_libtorch/bin/benchmarks/adapted_linear" --device cuda --results "$out" \
        "$rank" "$dropout" $(square 8192) $more || status=1
    done
  done
  return "$status"
}

decoder_layer() {
  "$out/with_libtorch/bin/benchmarks/decoder_layer" cuda "$out" 16 0.1 8192 4096 11008
}

# Two decoder layers of a 7B model with its vocabulary, under made-up reports.
train_steps() {
  local bin=$out/with_libtorch/bin
  "$bin/radgpt" simulate --out "$out/reports" --reports 400 --seed 1 || return
  "$bin/benchmarks/train_step" "$root/recipes/quickstart.yaml" 4 "$out/examples.jsonl" \
    vocabulary=125696 "data.sources=[{reports: [$out/reports/reports.jsonl]}]" model.path= \
    model.device=cuda model.dtype=bf16 model.hidden_size=4096 model.intermediate_size=11008 \
    model.heads=32 model.layers=2 model.position=rope lora.rank=16 lora.alpha=32 \
    lora.dropout=0.1 train.pack_tokens=8192
}

# --- the page -----------------------------------------------------------------------------------

# The rows of the kernel table by their share of the rate of a copy. $1: sort's option.
rows_by_share() {
  awk -F, 'FNR > 1 && $17 > 0 && $4 != "gemm" && $4 !~ /^segment/ {print $17 "," $0}' "$out"/*.csv |
    sort -t, "$1" -k1,1 | head -8 |
    awk -F, '{printf "| %s | %s x %s x %s | %s | %s | %s | %.0f | %.0f %% |\n",
              $5 " " $12, $7, $8, $9, $10, $11, $14, $17, 100 * $18}'
}

# Each contender's time over ours, at each shape.
comparisons() {
  awk -F, '$4 == "adapted_linear" {
      shape = $6 " x " $7 " x " $8 " | " $9 " | " $10
      if (!(shape in seen)) { seen[shape] = 1; order[++count] = shape }
      time[shape, $11] = $13
    }
    END {
      for (i = 1; i <= count; ++i) {
        s = order[i]; ours = time[s, "ours"]
        if (ours > 0) printf "| %s | %.3f | %.3f | %.2f | %.2f | %.2f | %.2f |\n", s, ours,
          ours / time[s, "frozen"], time[s, "peft"] / ours, time[s, "peft bf16"] / ours,
          time[s, "unsloth"] / ours, time[s, "in place"] / ours
      }
    }' "$out"/*.csv
}

write_summary() {
  local table_head="| kernel | rows x in x out | rank | dropout | median ms | GB/s | of a copy |
|---|---|---:|---:|---:|---:|---:|"
  echo "# $(query name), commit $RADGPT_COMMIT, $(date -u +%F)"
  echo
  echo "Driver $(query driver_version), $(query memory.total), compute capability" \
    "$(query compute_cap), $(nvcc --version | sed -n 's/.*release \([^,]*\),.*/nvcc \1/p')."
  printf '\n| part | result | seconds |\n|---|---|---:|\n'
  printf '%s\n' "${parts[@]}"
  printf '\n## Checks\n\n```\n'
  tail -n 3 "$out/kernels_gpu.log" 2>/dev/null
  grep -h -E 'TOO LARGE|FAILED:|ERROR SUMMARY|RACECHECK SUMMARY' "$out"/*.log 2>/dev/null |
    sort | uniq -c
  grep -h -c ' ok$' "$out/kernel_tables.log" 2>/dev/null | sed 's/$/ checks of kernel_table ok/'
  printf '```\n'
  if compgen -G "$out/*.csv" >/dev/null; then
    printf '\n## An adapted linear layer, forward and backward\n\n'
    echo "| rows x in x out | rank | dropout | ours, ms | ours / frozen | peft / ours" \
      "| peft in bf16 / ours | Unsloth's order / ours | accumulate in place / ours |"
    echo "|---|---:|---:|---:|---:|---:|---:|---:|---:|"
    comparisons
    printf '\n## Kernels nearest to the rate of a copy\n\n%s\n' "$table_head"
    rows_by_share -gr
    printf '\n## Kernels furthest from it\n\n%s\n' "$table_head"
    rows_by_share -g
  fi
  # shellcheck disable=SC2016  # these are not commands
  printf '\n## One decoder layer of a 7B model\n\n```\n'
  grep -h -A 2 '^tokens' "$out/decoder_layer.log" 2>/dev/null
  # shellcheck disable=SC2016
  printf '```\n\n## Training steps, two layers of a 7B model\n\n```\n'
  tail -n 7 "$out/train_steps.log" 2>/dev/null
  printf '```\n'
}

main() {
  local begin building
  libtorch=
  find_tools
  find_libtorch
  mkdir -p "$own_third_party"
  rm -f "$out"/*.csv "$out"/*.log "$out"/summary.md
  RADGPT_COMMIT=${RADGPT_COMMIT:-$(git -C "$root" describe --always --dirty 2>/dev/null)}
  RADGPT_COMMIT=${RADGPT_COMMIT:-unknown}
  RADGPT_DEVICE=$(query name)
  export RADGPT_COMMIT RADGPT_DEVICE
  kernels=$out/kernels_only
  say "$RADGPT_DEVICE, architecture $architecture, at most $minutes minutes"
  say "builds, checks the kernels against double precision, then measures kernels, an adapted"
  say "linear layer, a decoder layer and training steps"
  say "LibTorch: ${libtorch:-to be downloaded}"
  export -f configure_and_build install_dependencies build_with_libtorch kernels_on_gpu \
    square others kernel_tables adapted_linears decoder_layer train_steps
  export root out own_third_party architecture kernels libtorch

  install_packages || stop "the distribution's packages cannot be installed"
  # The limits of the parts, one after the other, are 470 seconds. All with LibTorch is built while
  # the kernels are built and checked.
  limited 240 "$out/build_with_libtorch.log" build_with_libtorch &
  building=$!
  begin=$SECONDS
  part build_kernels 120 configure_and_build "$root/kernels" "$kernels" \
    "kernels_gpu_test kernel_table" -DRADGPT_CUDA=ON
  part kernels_gpu 60 kernels_on_gpu
  sanitize memcheck
  sanitize racecheck
  wait "$building"
  record build_with_libtorch $? "$begin"
  part kernel_tables 75 kernel_tables
  part adapted_linears 40 adapted_linears
  part decoder_layer 20 decoder_layer
  part train_steps 40 train_steps
  write_summary >"$out/summary.md"
  say "done: $out/summary.md"
  return "$failed"
}

main "$@"
