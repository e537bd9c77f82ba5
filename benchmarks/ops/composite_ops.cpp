// Times the composite ops of one layer, forward and backward, against the plain matrix products
// inside them, and the loss against its two products:
//
//   composite_ops [rows hidden rank]
//
// "share" is time of the plain products / time of the op: 100 % would be an op that costs nothing
// beside its products.

#include <ATen/Parallel.h>
#include <torch/types.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <string>
#include <vector>

#include "benchmarks/kernels/interleaved.h"
#include "libradgpt/ops/head_cross_entropy.h"
#include "libradgpt/ops/lora_linear.h"
#include "libradgpt/ops/segment_attention.h"

namespace radgpt {
namespace {

constexpr int kRuns = 15;
constexpr int64_t kHeadDim = 128;
constexpr int64_t kSegment = 300;

/// Milliseconds.
Spread time_of(const std::function<void()>& work) {
  return spread_of(time_in_turn({{"", work}}, kRuns).front());
}

void print_row(const std::string& name, const Spread& time, double products) {
  std::printf("%-28s %3d  %9.2f %9.2f %9.2f", name.c_str(), kRuns, time.median, time.p20, time.p80);
  if (products > 0) std::printf("   %4.0f %%", 100 * products / time.median);
  std::printf("\n");
}

at::Tensor leaf(at::Tensor values) { return values.set_requires_grad(true); }

BorderedWeight adapted_weight(int64_t out, int64_t in, int64_t rank) {
  BorderedWeight weight;
  weight.in_features = in;
  weight.storage = torch::randn({out, in + kBorderTile}).mul_(0.02).to(at::kBFloat16);
  weight.storage.narrow(1, in, kBorderTile).zero_();
  LoraPair pair;
  pair.a_master = leaf(torch::randn({rank, in}).mul_(0.02));
  pair.b_master = leaf(torch::randn({out, rank}).mul_(0.02));
  pair.a = pair.a_master.detach().to(at::kBFloat16);
  pair.dropout = 0.1;
  pair.row_end = out;
  weight.pairs.push_back(pair);
  weight.scaled_b(pair).copy_(pair.b_master.detach());
  return weight;
}

/// One row for the forward pass and one for forward and backward together less the forward pass.
void time_op(const std::string& name, const std::function<at::Tensor()>& op, double forward,
             double backward) {
  const Spread once = time_of([&] {
    const at::NoGradGuard no_grad;
    op();
  });
  const at::Tensor gradient = torch::ones_like(op());
  Spread both = time_of([&] { op().backward(gradient); });
  print_row(name + " forward", once, forward);
  const double alone = once.median;
  print_row(name + " backward", {both.p20 - alone, both.median - alone, both.p80 - alone},
            backward);
}

double product_time(int64_t rows, int64_t in, int64_t out) {
  const at::NoGradGuard no_grad;
  const at::Tensor x = torch::randn({rows, in}).to(at::kBFloat16);
  const at::Tensor w = torch::randn({out, in}).to(at::kBFloat16);
  return time_of([&] { at::mm(x, w.t()); }).median;
}

void time_linears(int64_t rows, int64_t hidden, int64_t rank) {
  const int64_t inner = hidden * 43 / 16;
  const DropoutKey key{1, 2, 3, true};
  const auto input = [&](int64_t width) {
    return leaf(torch::randn({rows, width}).to(at::kBFloat16));
  };
  NormWeight norm;
  norm.weight = torch::ones({hidden}, at::kBFloat16);
  const BorderedWeight qkv = adapted_weight(3 * hidden, hidden, rank);
  const BorderedWeight out = adapted_weight(hidden, hidden, rank);
  const BorderedWeight down = adapted_weight(hidden, inner, rank);
  const at::Tensor x = input(hidden), gate_up = input(2 * inner);
  const double wide = product_time(rows, hidden, 3 * hidden);
  const double wide_back = product_time(rows, 3 * hidden, hidden);
  time_op(
      "rms_norm_lora_linear qkv", [&] { return rms_norm_lora_linear(x, {}, norm, qkv, key).y; },
      wide, wide_back);
  time_op(
      "lora_linear qkv", [&] { return lora_linear(x, qkv, key); }, wide, wide_back);
  const double square = product_time(rows, hidden, hidden);
  time_op(
      "lora_linear out", [&] { return lora_linear(x, out, key); }, square, square);
  const double deep = product_time(rows, inner, hidden);
  const double deep_back = product_time(rows, hidden, inner);
  time_op(
      "swiglu_lora_linear down", [&] { return swiglu_lora_linear(gate_up, down, key); }, deep,
      deep_back);
}

void time_attention(int64_t rows, int64_t hidden) {
  const int64_t heads = std::max<int64_t>(hidden / kHeadDim, 1);
  std::vector<Segment> segments;
  std::vector<int64_t> positions;
  for (int64_t begin = 0; begin < rows; begin += kSegment) {
    const int64_t end = std::min(begin + kSegment, rows);
    segments.push_back({static_cast<int32_t>(begin), static_cast<int32_t>(end), 0, 0});
    for (int64_t i = begin; i < end; ++i) positions.push_back(i - begin);
  }
  const at::Tensor qkv = leaf(torch::randn({rows, 3 * hidden}).to(at::kBFloat16));
  const at::Tensor places = torch::tensor(positions);
  const PositionEncoding encoding = PositionEncoding::rope(hidden / heads, kSegment);
  time_op(
      "segment_attention",
      [&] { return segment_attention(qkv, places, segments, heads, encoding); }, 0, 0);
}

void time_head(int64_t rows, int64_t hidden) {
  constexpr int64_t kVocabulary = 125696;
  const at::Tensor states = leaf(torch::randn({rows, hidden}).to(at::kBFloat16));
  HeadWeight weight;
  weight.normalised = torch::randn({kVocabulary, hidden}).to(at::kBFloat16);
  const at::Tensor targets = torch::arange(rows);
  const double products =
      product_time(rows, hidden, kVocabulary) + product_time(rows, kVocabulary, hidden);
  print_row("head_cross_entropy", time_of([&] {
              head_cross_entropy(states, weight, targets, static_cast<double>(rows)).backward();
            }),
            products);
}

}  // namespace
}  // namespace radgpt

int main(int argc, char** argv) {
  const int64_t rows = argc > 1 ? std::atoll(argv[1]) : 4096;
  const int64_t hidden = argc > 2 ? std::atoll(argv[2]) : 1024;
  const int64_t rank = argc > 3 ? std::atoll(argv[3]) : 16;
  std::printf("threads %d   bf16   rows %ld  hidden %ld  rank %ld  dropout 0.1\n",
              at::get_num_threads(), rows, hidden, rank);
  std::printf("%-28s %3s  %9s %9s %9s   share\n", "milliseconds", "n", "median", "p20", "p80");
  radgpt::time_linears(rows, hidden, rank);
  radgpt::time_attention(rows, hidden);
  radgpt::time_head(rows / 16, hidden);
  return 0;
}
