#include "kernels/adamw/adamw.cuh"
#include "kernels/primitives/checks.h"

namespace radgpt::kernels {

namespace {

void check_tensors(const char* who, const TrainedTensors& tensors) {
  require(tensors.count >= 0 && tensors.blocks >= tensors.count && tensors.blocks <= INT32_MAX, who,
          ": ", tensors.count, " tensors cannot have ", tensors.blocks, " blocks");
  check_array(who, "the table of tensors", tensors.tensors, tensors.count);
}

}  // namespace

void adamw_cuda(const AdamW& call, Stream stream) {
  const char* who = "adamw";
  check_tensors(who, call.tensors);
  check_array(who, "gradient", call.gradient, call.tensors.blocks);
  check_array(who, "master", call.master, call.tensors.blocks);
  check_array(who, "first_moment", call.first_moment, call.tensors.blocks);
  check_array(who, "second_moment", call.second_moment, call.tensors.blocks);
  launch(who, adamw_kernel, Grid{.x = call.tensors.blocks}, kAdamWThreads, stream, call);
}

}  // namespace radgpt::kernels
