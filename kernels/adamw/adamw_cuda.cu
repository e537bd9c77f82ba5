#include "kernels/adamw/adamw.cuh"
#include "kernels/primitives/checks.h"

namespace radgpt::kernels {

namespace {

void check_tensors(const char* who, const TrainedTensors& tensors) {
  require(tensors.count >= 0 && tensors.blocks >= tensors.count && tensors.blocks <= INT32_MAX, who,
          ": ", tensors.count, " tensors cannot have ", tensors.blocks, " blocks");
  check_aligned(who, "the table of tensors", tensors.tensors);
}

}  // namespace

void adamw_cuda(const AdamW& call, Stream stream) {
  const char* who = "adamw";
  check_tensors(who, call.tensors);
  check_aligned(who, "gradient", call.gradient);
  check_aligned(who, "master", call.master);
  check_aligned(who, "first_moment", call.first_moment);
  check_aligned(who, "second_moment", call.second_moment);
  launch(who, adamw_kernel, Grid{.x = call.tensors.blocks}, kAdamWThreads, stream, call);
}

void publish_cuda(const float* master, const TrainedTensors& tensors, Stream stream) {
  const char* who = "publish";
  check_tensors(who, tensors);
  check_aligned(who, "master", master);
  launch(who, publish_kernel, Grid{.x = tensors.blocks}, kAdamWThreads, stream, master, tensors);
}

}  // namespace radgpt::kernels
