#include "kernels/lora_linear/lora_output.h"
#include "tests/kernels/kernel_check.h"

namespace radgpt::kernels {
namespace {

std::vector<OutputShape> odd_output_shapes() {
  std::vector<OutputShape> shapes = {
      {.rows = 1, .out_features = 1, .ranks = {1}, .border = 1},
      {.rows = 3, .out_features = 300, .ranks = {3}, .border = 16, .padding = 3},
      {.rows = 389, .out_features = 5, .ranks = {2}, .border = 2},
      {.rows = 150, .out_features = 80, .ranks = {8, 4, 16}, .border = 32}};
  for (const int64_t rank : {1, 4, 8, 16, 64}) {
    shapes.push_back({.rows = 37,
                      .out_features = 523,
                      .ranks = {rank},
                      .border = (rank + 15) / 16 * 16,
                      .padding = 5});
  }
  return shapes;
}

TEMPLATE_TEST_CASE("LoRA output on the CPU: as accurate as the chain", "", float, double,
                   BFloat16) {
  using T = TestType;
  for (const OutputShape& shape : odd_output_shapes()) {
    INFO(shape.rows << " x " << shape.out_features << ", rank " << shape.ranks[0]);
    expect_kernel([&](CallMemory& memory) { return Cases<T>::lora_output_backward(memory, shape); },
                  lora_output_backward_cpu<T>);
  }
}

}  // namespace
}  // namespace radgpt::kernels
