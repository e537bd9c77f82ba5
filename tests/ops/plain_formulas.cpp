#include "tests/ops/plain_formulas.h"

#include <torch/types.h>

#include <cmath>

#include "libradgpt/base/random.h"

namespace radgpt {

at::Tensor plain_mask(const LoraPair& pair, const DropoutKey& key, int64_t rows, int64_t columns) {
  at::Tensor mask = torch::ones({rows, columns}, at::kDouble);
  if (!key.active || pair.dropout == 0.0) return mask;
  const auto low = [](uint64_t word) { return static_cast<uint32_t>(word); };
  const auto high = [](uint64_t word) { return static_cast<uint32_t>(word >> 32); };
  const auto mixed = philox({low(key.step), high(key.step), 0, 2}, {low(key.seed), high(key.seed)});
  const double dropped = std::round(pair.dropout * 65536) / 65536;
  auto element = mask.accessor<double, 2>();
  for (int64_t row = 0; row < rows; ++row) {
    for (int64_t column = 0; column < columns; ++column) {
      const auto words = philox<7>(
          {static_cast<uint32_t>(column / 8), static_cast<uint32_t>(row), pair.module, key.pack},
          {mixed[0], mixed[1]});
      const uint32_t word = words[column % 8 / 2];
      const bool kept = (column % 2 == 0 ? word % 65536 : word / 65536) >= dropped * 65536;
      element[row][column] = kept ? 1.0 / (1.0 - dropped) : 0.0;
    }
  }
  return mask;
}

at::Tensor plain_rms_norm(const at::Tensor& x, const at::Tensor& weight, double epsilon) {
  const at::Tensor wide = x.scalar_type() == at::kBFloat16 ? x.to(at::kFloat) : x;
  const at::Tensor mean = wide.pow(2).mean(-1, true);
  return weight * (wide * torch::rsqrt(mean + epsilon)).to(weight.scalar_type());
}

at::Tensor plain_swiglu(const at::Tensor& gate_up) {
  const auto halves = gate_up.chunk(2, -1);
  return torch::silu(halves[0]) * halves[1];
}

at::Tensor plain_lora_linear(const at::Tensor& x, const at::Tensor& w,
                             const std::vector<LoraPair>& pairs, const DropoutKey& key) {
  const auto type = x.scalar_type();
  at::Tensor y = torch::matmul(x, w.to(type).t());
  for (const LoraPair& pair : pairs) {
    const at::Tensor mask = plain_mask(pair, key, x.size(0), x.size(1)).to(type);
    const at::Tensor s = torch::matmul(x * mask, pair.a_master.to(type).t());
    const at::Tensor update = torch::matmul(s, pair.b_master.to(type).t()) * pair.scale;
    y = y + torch::constant_pad_nd(update, {pair.row_begin, w.size(0) - pair.row_end});
  }
  return y;
}

namespace {

/// x [tokens, heads, head_dim] turned by the angles of its positions, halves paired.
at::Tensor plain_rotation(const at::Tensor& x, const at::Tensor& positions,
                          const PositionEncoding& encoding) {
  if (!encoding.cosines.defined()) return x;
  const auto wide = x.scalar_type() == at::kBFloat16 ? at::kFloat : x.scalar_type();
  const at::Tensor cosines = encoding.cosines.index_select(0, positions).to(wide).unsqueeze(1);
  const at::Tensor sines = encoding.sines.index_select(0, positions).to(wide).unsqueeze(1);
  const auto halves = x.to(wide).chunk(2, -1);
  return torch::cat(
             {halves[0] * cosines - halves[1] * sines, halves[1] * cosines + halves[0] * sines}, -1)
      .to(x.scalar_type());
}

at::Tensor plain_segment(const std::vector<at::Tensor>& qkv, const at::Tensor& positions,
                         const Segment& segment, const PositionEncoding& encoding) {
  const at::Tensor own = torch::arange(segment.begin, segment.end);
  const at::Tensor seen =
      torch::cat({torch::arange(segment.prefix_begin, segment.prefix_end), own});
  const at::Tensor q = qkv[0].index_select(0, own).transpose(0, 1);
  const at::Tensor k = qkv[1].index_select(0, seen).transpose(0, 1);
  const at::Tensor v = qkv[2].index_select(0, seen).transpose(0, 1);
  at::Tensor scores = torch::matmul(q, k.transpose(1, 2)) / std::sqrt(q.size(2));
  if (scores.scalar_type() == at::kBFloat16) scores = scores.to(at::kFloat);
  const at::Tensor distance =
      positions.index_select(0, seen).unsqueeze(0) - positions.index_select(0, own).unsqueeze(1);
  if (encoding.slopes.defined()) {
    scores = scores + encoding.slopes.to(scores.scalar_type()).view({-1, 1, 1}) * distance;
  }
  scores = scores.masked_fill((distance > 0).unsqueeze(0), -INFINITY);
  return torch::matmul(torch::softmax(scores, -1).to(v.scalar_type()), v)
      .transpose(0, 1)
      .flatten(1);
}

}  // namespace

at::Tensor plain_attention(const at::Tensor& qkv, const at::Tensor& positions,
                           const std::vector<Segment>& segments, int64_t heads,
                           const PositionEncoding& encoding) {
  std::vector<at::Tensor> parts = qkv.chunk(3, -1);
  for (int i = 0; i < 3; ++i) {
    parts[i] = parts[i].unflatten(1, {heads, qkv.size(1) / 3 / heads});
    if (i < 2) parts[i] = plain_rotation(parts[i], positions, encoding);
  }
  std::vector<at::Tensor> rows;
  for (const Segment& segment : segments) {
    rows.push_back(plain_segment(parts, positions, segment, encoding));
  }
  return torch::cat(rows);
}

at::Tensor plain_cross_entropy(const at::Tensor& hidden, const at::Tensor& w,
                               const at::Tensor& targets, double divisor) {
  const at::Tensor n = (w / w.norm(2, {1}, true)).to(hidden.scalar_type());
  at::Tensor logits = torch::matmul(hidden, n.t());
  if (logits.scalar_type() == at::kBFloat16) logits = logits.to(at::kFloat);
  const at::Tensor chosen =
      torch::log_softmax(logits, -1).gather(1, targets.unsqueeze(1)).squeeze(1);
  return -chosen.sum() / divisor;
}

}  // namespace radgpt
