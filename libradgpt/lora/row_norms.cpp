#include "libradgpt/lora/row_norms.h"

#include <ATen/Parallel.h>
#include <torch/types.h>

#include <algorithm>

namespace radgpt {

namespace {

// Rows at a time: the fp32 copy of the weight stays small, and the same rows meet the same products
// on any number of threads.
constexpr int64_t kBlockRows = 512;

}  // namespace

void write_row_norms(const at::Tensor& weight, const LoraPair& pair, at::Tensor norms) {
  const at::NoGradGuard no_grad;
  const at::Tensor a = pair.a_master.detach(), b = pair.b_master.detach();
  const int64_t rows = weight.size(0);
  const int64_t blocks = (rows + kBlockRows - 1) / kBlockRows;
  const auto write_blocks = [&](int64_t begin, int64_t end) {
    const at::NoGradGuard no_grad_in_thread;
    for (int64_t block = begin; block < std::min(end, blocks); ++block) {
      const int64_t first = block * kBlockRows, count = std::min(kBlockRows, rows - first);
      const at::Tensor adapted = weight.narrow(0, first, count)
                                     .to(a.scalar_type())
                                     .addmm(b.narrow(0, first, count), a, 1.0, pair.scale);
      norms.narrow(0, first, count).copy_(adapted.norm(2, {1}));
    }
  };
  // One more than there are, so that a single block, too, is left to one thread.
  if (weight.is_cpu()) {
    at::parallel_for(0, blocks + 1, 1, write_blocks);
  } else {
    write_blocks(0, blocks);
  }
}

}  // namespace radgpt
