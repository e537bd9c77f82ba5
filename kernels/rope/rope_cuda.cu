#include "kernels/primitives/checks.h"
#include "kernels/rope/rope.cuh"

namespace radgpt::kernels {

void rope_cuda(const Rope<BFloat16>& call, Stream stream) {
  const char* who = "rope";
  require(call.tokens >= 0 && call.heads > 0, who,
          ": tokens must not be negative and heads positive, got ", call.tokens, " and ",
          call.heads);
  check_multiple_of_8(who, "head_dim", call.head_dim);
  check_multiple_of_8(who, "stride", call.stride);
  require(call.head_dim > 0 && call.head_dim <= kRopeMostHeadDim, who, ": head_dim must be in [8, ",
          kRopeMostHeadDim, "] on a GPU, got ", call.head_dim);
  require(call.stride >= 2 * call.heads * call.head_dim, who, ": stride must be at least ",
          2 * call.heads * call.head_dim, ", got ", call.stride);
  check_array(who, "qkv", call.qkv, call.tokens);
  const Grid grid{.x = call.tokens};
  if (call.head_dim % 16 == 0) {
    return launch(who, rope_kernel<Words4>, grid, kRopeThreads, stream, call);
  }
  launch(who, rope_kernel<Words2>, grid, kRopeThreads, stream, call);  // half a head of four pairs
}

}  // namespace radgpt::kernels
