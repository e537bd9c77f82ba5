#include "libradgpt/model/random_tensor.h"

#include <ATen/Parallel.h>
#include <torch/types.h>

#include <algorithm>

#include "libradgpt/base/random.h"

namespace radgpt {

namespace {

// Rows are drawn in blocks, so that a large tensor never has a whole copy in fp32.
constexpr int64_t kBlockElements = int64_t{1} << 22;

template <typename Draw>
void fill_rows(const at::Tensor& tensor, TensorSeed seed, int64_t first_row, Draw draw) {
  const at::NoGradGuard no_grad;
  const int64_t rows = tensor.size(0), columns = tensor.size(1);
  const int64_t block = std::max<int64_t>(1, kBlockElements / std::max<int64_t>(1, columns));
  at::Tensor numbers = at::empty({std::min(rows, block), columns}, at::kFloat);
  float* out = numbers.mutable_data_ptr<float>();
  for (int64_t begin = 0; begin < rows; begin += block) {
    const int64_t count = std::min(block, rows - begin);
    at::parallel_for(0, count, 16, [&](int64_t first, int64_t last) {
      for (int64_t row = first; row < last; ++row) {
        Random random(seed.seed, RandomStream::kInitialisation, seed.number,
                      static_cast<uint32_t>(first_row + begin + row));
        std::generate_n(out + row * columns, columns,
                        [&] { return static_cast<float>(draw(random)); });
      }
    });
    tensor.narrow(0, begin, count).copy_(numbers.narrow(0, 0, count));
  }
}

}  // namespace

void fill_normal(at::Tensor tensor, TensorSeed seed, double deviation, int64_t first_row) {
  fill_rows(tensor, seed, first_row,
            [=](Random& random) { return deviation * random.next_normal(); });
}

void fill_uniform(at::Tensor tensor, TensorSeed seed, double bound) {
  fill_rows(tensor, seed, 0,
            [=](Random& random) { return bound * (2.0 * random.next_uniform() - 1.0); });
}

}  // namespace radgpt
