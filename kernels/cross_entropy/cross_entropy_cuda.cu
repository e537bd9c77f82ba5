#include <cstdint>

#include "kernels/cross_entropy/cross_entropy.cuh"
#include "kernels/primitives/checks.h"

namespace radgpt::kernels {

void cross_entropy_cuda(const CrossEntropy<BFloat16>& call, Stream stream) {
  const char* who = "cross_entropy";
  require(call.rows >= 0 && call.vocabulary > 0 && call.vocabulary <= INT32_MAX - 8, who,
          ": rows must not be negative and the vocabulary positive, got ", call.rows, " and ",
          call.vocabulary);
  check_multiple_of_8(who, "stride", call.stride);
  require(call.stride >= call.vocabulary, who, ": stride must be at least ", call.vocabulary,
          ", got ", call.stride);
  check_array(who, "logits", call.logits, call.rows);
  launch(who, cross_entropy_kernel, Grid{.x = call.rows}, kCrossEntropyThreads, stream, call);
}

}  // namespace radgpt::kernels
