#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cos.h>
#include <ATen/ops/outer.h>
#include <ATen/ops/pow.h>
#include <ATen/ops/reciprocal.h>
#include <ATen/ops/sin.h>
#include <ATen/ops/tensor.h>

#include <cmath>

#include "libradgpt/base/error.h"
#include "libradgpt/ops/segment_attention.h"

namespace radgpt {

PositionEncoding PositionEncoding::rope(int64_t head_dim, int64_t max_length) {
  require(head_dim > 0 && head_dim % 2 == 0, "RoPE: head_dim must be even, got ", head_dim);
  constexpr double kBase = 10000.0;
  const at::TensorOptions fp32 = at::kFloat;
  const at::Tensor frequencies =
      at::reciprocal(at::pow(kBase, at::arange(0, head_dim, 2, fp32) / head_dim));
  const at::Tensor angles = at::outer(at::arange(0, max_length, 1, fp32), frequencies);
  return {at::cos(angles), at::sin(angles), {}};
}

PositionEncoding PositionEncoding::alibi(int64_t heads) {
  require(heads > 0, "ALiBi: heads must be positive, got ", heads);
  int64_t power = 1;
  while (2 * power <= heads) power *= 2;
  std::vector<float> slopes;
  const auto exponent = [](int64_t index, int64_t count) {
    return -8.0 * static_cast<double>(index) / static_cast<double>(count);
  };
  for (int64_t h = 0; h < power; ++h) {
    slopes.push_back(static_cast<float>(std::exp2(exponent(h + 1, power))));
  }
  for (int64_t h = power; h < heads; ++h) {
    slopes.push_back(static_cast<float>(std::exp2(exponent(2 * (h - power) + 1, 2 * power))));
  }
  return {{}, {}, at::tensor(slopes)};
}

PositionEncoding PositionEncoding::to(at::Device device) const {
  const auto moved = [&](const at::Tensor& table) {
    return table.defined() ? table.to(device) : table;
  };
  return {moved(cosines), moved(sines), moved(slopes)};
}

}  // namespace radgpt
