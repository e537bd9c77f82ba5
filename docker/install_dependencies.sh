#!/usr/bin/env bash
# Installs everything libradgpt is built from. This file is the one list of dependencies: the
# quickstart, the tests, CI and the container images all call it.
#
#   bash docker/install_dependencies.sh          LibTorch for the CPU, or with CUDA where both nvcc
#                                                and an NVIDIA device are present
#   bash docker/install_dependencies.sh --cpu    LibTorch for the CPU whatever the machine has
#   bash docker/install_dependencies.sh --cuda   LibTorch with CUDA (needs nvcc of CUDA 13)
#   bash docker/install_dependencies.sh --reference   as without option, the Python packages that
#                                                     tests/reference compares with (Python 3.11),
#                                                     doxygen, and launchers of several ranks
#   bash docker/install_dependencies.sh --packages    distribution packages alone: all that kernels/
#                                                     and its tests need
#
# For Debian 12 and Ubuntu 22.04/24.04 on x86-64, as root or with sudo (sudo is used for apt alone).
# Distribution packages go where apt puts them; everything else goes into third_party/ beside this
# folder, or into RADGPT_THIRD_PARTY of the environment, and can be removed by deleting that. What
# is already there is left alone, so a second run takes a second and needs no network.
set -euo pipefail

# What comes from the distribution. libgloo-dev is there for its headers: LibTorch exports Gloo's
# code without them. Its library is never linked.
readonly apt_packages=(
  g++ cmake ninja-build ccache make unzip ca-certificates python3 python3-pip
  libyaml-cpp-dev nlohmann-json3-dev libcli11-dev libutfcpp-dev libssl-dev libdeflate-dev
  catch2 libgloo-dev
)

# What --reference adds to them: doxygen needs libclang, together 216 MB; launchers that start runs
# of several ranks (tests/launchers); ip (iproute2), which makes and cuts networks.
readonly reference_packages=(
  doxygen openmpi-bin slurm-wlm munge iproute2
)

# What comes from the Python package index, by name, version and SHA-256 of the file. No Python
# is needed at run time: the wheels carry C++ headers and libraries, the archives carry sources.
# What tests/reference imports beside torch is listed in reference_requirements.txt.
readonly torch=2.11.0
readonly sentencepiece=0.2.1
readonly jieba=0.42.1
readonly cuda_runtime=13.0.96
readonly cuda_cupti=13.0.85
readonly cufile=1.15.1.6
readonly cusparselt=0.8.0
readonly nvshmem=3.4.5
readonly nccl=2.28.9
readonly cudnn=9.19.0.56
readonly cublas=13.1.0.3
readonly cufft=12.0.0.61
readonly curand=10.4.0.35
readonly cusparse=12.6.3.3
readonly nvjitlink=13.0.88
requirement() {
  case $1 in
    torch) echo "torch==$torch" \
      "--hash=sha256:7aa2f9bbc6d4595ba72138026b2074be1233186150e9292865e04b7a63b8c67a" ;;
    cuda_runtime) echo "nvidia-cuda-runtime==$cuda_runtime" \
      "--hash=sha256:7f82250d7782aa23b6cfe765ecc7db554bd3c2870c43f3d1821f1d18aebf0548" ;;
    cuda_cupti) echo "nvidia-cuda-cupti==$cuda_cupti" \
      "--hash=sha256:4eb01c08e859bf924d222250d2e8f8b8ff6d3db4721288cf35d14252a4d933c8" ;;
    cufile) echo "nvidia-cufile==$cufile" \
      "--hash=sha256:08a3ecefae5a01c7f5117351c64f17c7c62efa5fffdbe24fc7d298da19cd0b44" ;;
    cusparselt) echo "nvidia-cusparselt-cu13==$cusparselt" \
      "--hash=sha256:25e30a8a7323935d4ad0340b95a0b69926eee755767e8e0b1cf8dd85b197d3fd" ;;
    nvshmem) echo "nvidia-nvshmem-cu13==$nvshmem" \
      "--hash=sha256:290f0a2ee94c9f3687a02502f3b9299a9f9fe826e6d0287ee18482e78d495b80" ;;
    nccl) echo "nvidia-nccl-cu13==$nccl" \
      "--hash=sha256:e4553a30f34195f3fa1da02a6da3d6337d28f2003943aa0a3d247bbc25fefc42" ;;
    cudnn) echo "nvidia-cudnn-cu13==$cudnn" \
      "--hash=sha256:d20e1734305e9d68889a96e3f35094d733ff1f83932ebe462753973e53a572bf" ;;
    cublas) echo "nvidia-cublas==$cublas" \
      "--hash=sha256:ee8722c1f0145ab246bccb9e452153b5e0515fd094c3678df50b2a0888b8b171" ;;
    cufft) echo "nvidia-cufft==$cufft" \
      "--hash=sha256:6c44f692dce8fd5ffd3e3df134b6cdb9c2f72d99cf40b62c32dde45eea9ddad3" ;;
    curand) echo "nvidia-curand==$curand" \
      "--hash=sha256:1aee33a5da6e1db083fe2b90082def8915f30f3248d5896bcec36a579d941bfc" ;;
    cusparse) echo "nvidia-cusparse==$cusparse" \
      "--hash=sha256:2b3c89c88d01ee0e477cb7f82ef60a11a4bcd57b6b87c33f789350b59759360b" ;;
    nvjitlink) echo "nvidia-nvjitlink==$nvjitlink" \
      "--hash=sha256:13a74f429e23b921c1109976abefacc69835f2f433ebd323d3946e11d804e47b" ;;
    sentencepiece) echo "sentencepiece==$sentencepiece" \
      "--hash=sha256:8138cec27c2f2282f4a34d9a016e3374cd40e5c6e9cb335063db66a0a3b71fad" ;;
    jieba) echo "jieba==$jieba" \
      "--hash=sha256:055ca12f62674fafed09427f176506079bc135638a14e23e25be909131928db2" ;;
  esac
}

readonly root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
readonly third_party=${RADGPT_THIRD_PARTY:-$root/third_party}
readonly downloads=$third_party/.downloads
readonly log=$third_party/install.log

say() { echo "[dependencies] $*"; }
fail() {
  echo "error: docker/install_dependencies.sh: $*" >&2
  exit 4
}

# Runs a command with its output in the log, which is worth reading only when the command fails.
quietly() {
  "$@" >>"$log" 2>&1 || fail "'${*:1:3} …' failed; its output is at the end of $log"
}

as_root() {
  if [ "$(id -u)" = 0 ]; then
    "$@"
  elif command -v sudo >/dev/null; then
    sudo "$@"
  else
    fail "apt needs root, and there is no sudo here; run it as root"
  fi
}

# install_apt_packages NAME…
install_apt_packages() {
  local missing=() package
  for package in "$@"; do
    dpkg-query -W -f '${db:Status-Abbrev}' "$package" 2>/dev/null | grep -q '^ii' ||
      missing+=("$package")
  done
  if [ ${#missing[@]} = 0 ]; then
    say "distribution packages: all $# present"
    return
  fi
  say "distribution packages: installing ${missing[*]}"
  quietly as_root apt-get update
  quietly as_root env DEBIAN_FRONTEND=noninteractive \
    apt-get install -y --no-install-recommends "${missing[@]}"
}

# fetch NAME OPTION…: downloads one pinned file into $downloads/NAME and prints its path. pip
# compares the SHA-256 before it looks into the file.
fetch() {
  local name=$1
  mkdir -p "$downloads/$name"
  requirement "$name" >"$downloads/$name.txt"
  quietly /usr/bin/python3 -m pip download --quiet --no-deps --no-cache-dir --require-hashes \
    --requirement "$downloads/$name.txt" --dest "$downloads/$name" "${@:2}"
  echo "$downloads/$name"/*
}

# The wheels are the same C++ whatever the Python version, so one is named for every machine.
fetch_wheel() { fetch "$1" --python-version 3.11 --only-binary :all:; }
fetch_sources() { fetch "$1" --no-binary "$1"; }

# done_before FOLDER CONTENT: whether the folder was finished by an earlier run with that content.
done_before() { [ "$(cat "$third_party/$1/.installed" 2>/dev/null)" = "$2" ]; }
mark_done() { echo "$2" >"$third_party/$1/.installed"; }

choose_device() {
  local nvcc=
  if command -v nvcc >/dev/null; then nvcc=yes; fi
  case ${1:-} in
    --cpu) device=cpu && say "LibTorch: for the CPU, as asked" ;;
    --cuda)
      [ -n "$nvcc" ] || fail "--cuda needs nvcc of CUDA 13 in PATH, and there is none"
      device=cuda && say "LibTorch: with CUDA, as asked"
      ;;
    "" | --reference)
      device=cpu
      if [ -n "$nvcc" ] && [ -e /dev/nvidiactl ]; then device=cuda; fi
      say "LibTorch: for $device (nvcc: ${nvcc:-no}, NVIDIA device:" \
        "$([ -e /dev/nvidiactl ] && echo yes || echo no); --cpu or --cuda decides otherwise)"
      ;;
    --packages) device=none ;;
    *) fail "unknown option $1; --cpu, --cuda, --reference and --packages are known" ;;
  esac
}

# unpack_libraries NAME PATTERN FOLDER: libraries of a wheel, put beside those of LibTorch.
unpack_libraries() {
  local wheel
  wheel=$(fetch_wheel "$1")
  quietly unzip -q -o -j "$wheel" "$2" -d "$3"
  rm "$wheel"
}

# add_cuda_library LIBRARY FOLDER: adds one library that LibTorch with CUDA needs: a link into the
# CUDA toolkit where there is one, else from a wheel.
add_cuda_library() {
  local library=$1 folder=$2 toolkit=none file
  if command -v nvcc >/dev/null; then
    toolkit=$(dirname "$(dirname "$(readlink -f "$(command -v nvcc)")")")/lib64
  fi
  if [ -e "$toolkit/$library" ]; then
    for file in "$toolkit/${library%%.so*}"*.so.*; do
      ln -sf "$file" "$folder/"
    done
    return
  fi
  say "LibTorch with CUDA: no $library in a toolkit, downloading it"
  case $library in
    libcudart.*) unpack_libraries cuda_runtime '*/libcudart.so.*' "$folder" ;;
    libcupti.*) unpack_libraries cuda_cupti '*/libcupti.so.*' "$folder" ;;
    libcublas*) unpack_libraries cublas '*/libcublas*.so.*' "$folder" ;;
    libcufft.*) unpack_libraries cufft '*/libcufft.so.*' "$folder" ;;
    libcurand.*) unpack_libraries curand '*.so.*' "$folder" ;;
    libcusparse.*) unpack_libraries cusparse '*.so.*' "$folder" ;;
    libnvJitLink.*) unpack_libraries nvjitlink '*.so.*' "$folder" ;;
    libcufile.*) unpack_libraries cufile '*.so.*' "$folder" ;;
    libcusparseLt.*) unpack_libraries cusparselt '*.so.*' "$folder" ;;
    libnvshmem_*) unpack_libraries nvshmem '*.so.*' "$folder" ;;
    libnccl.*) unpack_libraries nccl '*.so.*' "$folder" ;;
    libcudnn*) unpack_libraries cudnn '*.so.*' "$folder" ;;
    *) fail "LibTorch with CUDA needs $library of CUDA 13, and $toolkit lacks it" ;;
  esac
}

# The driver's own library comes with the driver, so it may be missing where there is no GPU.
missing_cuda_libraries() {
  ldd "$1" | awk '/not found/ && $1 !~ /^libcuda\.so/ {print $1}' | sort -u
}

# add_cuda_libraries FILE: puts what the library FILE lacks, and what that lacks, into its folder.
add_cuda_libraries() {
  local missing library
  missing=$(missing_cuda_libraries "$1")
  while [ -n "$missing" ]; do
    # A wheel may have brought the next one along.
    for library in $missing; do
      if [ ! -e "$(dirname "$1")/$library" ]; then add_cuda_library "$library" "$(dirname "$1")"; fi
    done
    missing=$(missing_cuda_libraries "$1")
  done
}

# The distributions have an older LibTorch (Debian 12: 1.13) or none, and the package index has none
# by that name; but the torch wheel is one. Its slice for the CPU is 0.5 GB.
install_libtorch() {
  local content="torch $torch $device"
  if done_before libtorch "$content"; then
    say "LibTorch $torch ($device): present"
    return
  fi
  say "LibTorch $torch ($device): downloading 530 MB, unpacking the libraries and headers"
  local wheel libraries=('torch/lib/libtorch_cpu.so' 'torch/lib/libc10.so' 'torch/lib/libgomp*')
  if [ "$device" = cuda ]; then
    libraries+=('torch/lib/libtorch_cuda*' 'torch/lib/libc10_cuda.so'
      'torch/lib/libtorch_nvshmem.so' 'torch/lib/libcaffe2_nvrtc.so')
  fi
  rm -rf "$third_party/libtorch"
  wheel=$(fetch_wheel torch)
  quietly unzip -q -o "$wheel" "${libraries[@]}" 'torch/include/*' "torch-$torch.dist-info/*" \
    -d "$downloads/unpacked"
  mv "$downloads/unpacked/torch" "$third_party/libtorch"
  mkdir "$third_party/libtorch/licenses"
  find "$downloads/unpacked" -name 'LICENSE*' -o -name 'NOTICE*' |
    xargs -I{} cp {} "$third_party/libtorch/licenses/"
  # libtorch_cpu.so of this wheel names two CUDA libraries even when no GPU is ever used.
  unpack_libraries cuda_runtime '*/libcudart.so.13' "$third_party/libtorch/lib"
  unpack_libraries cuda_cupti '*/libcupti.so.13' "$third_party/libtorch/lib"
  if [ "$device" = cuda ]; then
    add_cuda_libraries "$third_party/libtorch/lib/libtorch_cuda.so"
  fi
  mark_done libtorch "$content"
}

# Debian's libsentencepiece is shared and exports FLAGS_minloglevel, a name that libc10 has for
# something smaller: with both in a process one overwrites the other's memory. So: static, hidden.
install_sentencepiece() {
  if done_before sentencepiece "sentencepiece $sentencepiece"; then
    say "sentencepiece $sentencepiece: present"
    return
  fi
  say "sentencepiece $sentencepiece: downloading the sources, building (about a minute)"
  local sources=$downloads/sentencepiece-$sentencepiece launcher= archive
  if command -v ccache >/dev/null; then launcher=ccache; fi
  rm -rf "$third_party/sentencepiece"
  archive=$(fetch_sources sentencepiece)
  tar -xzf "$archive" -C "$downloads"
  quietly cmake -S "$sources/sentencepiece" -B "$sources/build" -G Ninja \
    -DCMAKE_BUILD_TYPE=Release -DCMAKE_INSTALL_PREFIX="$third_party/sentencepiece" \
    -DCMAKE_INSTALL_LIBDIR=lib -DCMAKE_POSITION_INDEPENDENT_CODE=ON \
    -DCMAKE_CXX_COMPILER_LAUNCHER="$launcher" -DSPM_ENABLE_SHARED=OFF -DSPM_ENABLE_TCMALLOC=OFF \
    -DCMAKE_CXX_FLAGS="-fvisibility=hidden -fvisibility-inlines-hidden"
  quietly cmake --build "$sources/build" -j2 \
    --target sentencepiece-static sentencepiece_train-static
  mkdir -p "$third_party/sentencepiece/lib" "$third_party/sentencepiece/include"
  cp "$sources/build/src/libsentencepiece.a" "$sources/build/src/libsentencepiece_train.a" \
    "$third_party/sentencepiece/lib/"
  cp "$sources"/sentencepiece/src/sentencepiece_{processor,trainer}.h \
    "$third_party/sentencepiece/include/"
  cp "$sources/sentencepiece/LICENSE" "$third_party/sentencepiece/"
  mark_done sentencepiece "sentencepiece $sentencepiece"
}

# The dictionary and the tables for unknown words by which the word-level scores split Chinese
# text. The tables are Python literals; they are parsed, never imported.
install_jieba_tables() {
  if done_before jieba "jieba $jieba"; then
    say "jieba $jieba tables: present"
    return
  fi
  say "jieba $jieba tables: downloading 19 MB, writing dict.txt and hmm.txt"
  local archive
  rm -rf "$third_party/jieba"
  mkdir "$third_party/jieba"
  archive=$(fetch_sources jieba)
  tar -xzf "$archive" -C "$downloads"
  local sources=$downloads/jieba-$jieba
  cp "$sources/jieba/dict.txt" "$third_party/jieba/"
  cp "$root/docker/jieba_license.txt" "$third_party/jieba/LICENSE"  # the archive has none
  quietly /usr/bin/python3 "$root/docker/jieba_tables.py" "$sources/jieba/finalseg" \
    "$third_party/jieba/hmm.txt"
  mark_done jieba "jieba $jieba"
}

# PyTorch and the libraries that tests/reference compares files and results with, a folder for
# PYTHONPATH. Of the wheels that pip would install with torch only those are needed whose libraries
# libtorch_python.so names; a toolkit has most of them.
install_reference() {
  local requirements=$root/docker/reference_requirements.txt content wheel
  content="torch $torch, requirements $(sha256sum <"$requirements")"
  if done_before reference "$content"; then
    say "Python packages of tests/reference: present"
    return
  fi
  /usr/bin/python3 -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' ||
    fail "--reference needs Python 3.11 as /usr/bin/python3, got $(/usr/bin/python3 --version)"
  say "Python packages of tests/reference: downloading 0.9 GB, without a CUDA toolkit 2.3 GB"
  rm -rf "$third_party/reference"
  quietly /usr/bin/python3 -m pip install --quiet --no-deps --no-cache-dir --only-binary :all: \
    --require-hashes --requirement "$requirements" --target "$third_party/reference"
  wheel=$(fetch_wheel torch)
  quietly unzip -q -o "$wheel" -x 'torch/include/*' -d "$third_party/reference"
  add_cuda_libraries "$third_party/reference/torch/lib/libtorch_python.so"
  mark_done reference "$content"
}

main() {
  [ "$(uname -s) $(uname -m)" = "Linux x86_64" ] ||
    fail "needs Linux on x86-64, got $(uname -s) on $(uname -m)"
  command -v apt-get >/dev/null || fail "needs Debian 12 or Ubuntu 22.04/24.04: no apt-get here"
  [ $# -le 1 ] || fail "takes at most one option, got $#"
  choose_device "${1:-}"
  mkdir -p "$third_party"
  : >"$log"
  install_apt_packages "${apt_packages[@]}"
  if [ "$device" = none ]; then return; fi
  rm -rf "$downloads"
  trap 'rm -rf "$downloads"' EXIT
  install_libtorch
  install_sentencepiece
  install_jieba_tables
  if [ "${1:-}" = --reference ]; then
    install_apt_packages "${reference_packages[@]}"
    install_reference
  fi
  say "done: $third_party"
}

main "$@"
