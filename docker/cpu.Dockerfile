# radgpt for processors. From the root of the tree, with BuildKit:
#
#   docker build -f docker/cpu.Dockerfile -t radgpt:cpu .
#   docker run --rm --user "$(id -u):$(id -g)" -v "$PWD:/work" -w /work radgpt:cpu \
#     radgpt launch -n 4 recipe.yaml
#
# The first stage builds, which takes half an hour on two processors; the second has what is
# installed, LibTorch included, and no compiler.

FROM debian:12-slim AS build
WORKDIR /radgpt
COPY docker docker
RUN bash docker/install_dependencies.sh --cpu
COPY . .
RUN cmake --preset release -DRADGPT_BUILD_TESTS=OFF
RUN cmake --build --preset release --target radgpt_executable
RUN cmake --install build/release --prefix /opt/radgpt --strip \
 && cmake --install build/release --prefix /opt/radgpt --component libtorch \
 && rm -r /opt/radgpt/lib/libtorch/include

FROM debian:12-slim
RUN apt-get update \
 && apt-get install -y --no-install-recommends libyaml-cpp0.7 libssl3 libdeflate0 \
 && rm -rf /var/lib/apt/lists/*
COPY --from=build /opt/radgpt /opt/radgpt
ENV PATH=/opt/radgpt/bin:$PATH
CMD ["radgpt", "--help"]
