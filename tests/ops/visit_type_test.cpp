#include "libradgpt/ops/visit_type.h"

#include <torch/types.h>

#include "tests/catch.h"

namespace radgpt {
namespace {

TEST_CASE("Types: the kernels' bfloat16 has the bits of LibTorch's") {
  const at::Tensor values = torch::randn({1000}).mul(torch::randn({1000}).exp());
  const at::Tensor rounded = values.to(at::kBFloat16);
  for (int64_t i = 0; i < 1000; ++i) {
    const kernels::BFloat16 ours(values[i].item<float>());
    CHECK(ours.bits == values_of<kernels::BFloat16>(rounded)[i].bits);
    CHECK(static_cast<float>(ours) == rounded[i].item<float>());
  }
}

TEST_CASE("Types: others than those of the kernels are refused by name") {
  CHECK_THROWS_WITH(visit_type(at::kHalf, "attention", [](auto) {}),
                    "attention: type must be float32, float64 or bfloat16, got Half");
}

}  // namespace
}  // namespace radgpt
