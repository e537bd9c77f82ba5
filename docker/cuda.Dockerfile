# radgpt for NVIDIA GPUs (compute capability 8.0 and later). From the root of the tree, with
# BuildKit; no GPU is needed to build:
#
#   docker build -f docker/cuda.Dockerfile -t radgpt:cuda .
#   docker run --rm --gpus all --ipc=host --user "$(id -u):$(id -g)" -v "$PWD:/work" -w /work \
#     radgpt:cuda radgpt launch -n 8 recipe.yaml
#
# It needs a driver for CUDA 13 (580 or later) and the NVIDIA container toolkit. NCCL uses shared
# memory between GPUs, of which a container has 64 MB without --ipc=host.

FROM nvidia/cuda:13.0.2-devel-ubuntu24.04 AS build
WORKDIR /radgpt
COPY docker docker
RUN bash docker/install_dependencies.sh --cuda
COPY . .
RUN cmake --preset release -DRADGPT_BUILD_TESTS=OFF
RUN cmake --build --preset release --target radgpt_executable
# LibTorch's folder has links into the toolkit of this stage; -L copies what they lead to.
RUN cmake --install build/release --prefix /radgpt/installed --strip \
 && cmake --install build/release --prefix /radgpt/installed --component libtorch \
 && rm -r /radgpt/installed/lib/libtorch/include \
 && cp -rL /radgpt/installed /opt/radgpt

FROM ubuntu:24.04
RUN apt-get update \
 && apt-get install -y --no-install-recommends libyaml-cpp0.8 libssl3t64 libdeflate0 libstdc++6 \
 && rm -rf /var/lib/apt/lists/*
COPY --from=build /opt/radgpt /opt/radgpt
ENV PATH=/opt/radgpt/bin:$PATH NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility
CMD ["radgpt", "--help"]
