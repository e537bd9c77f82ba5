#include <ATen/Parallel.h>
#include <torch/types.h>

#include "libradgpt/ops/head_cross_entropy.h"
#include "libradgpt/ops/segment_attention.h"
#include "tests/catch.h"
#include "tests/ops/gradient_checks.h"
#include "tests/ops/linear_case.h"

namespace radgpt {
namespace {

/// Runs `work` on one and on two threads; every tensor it returns must have the same bits.
void expect_same_bits(const std::function<std::vector<at::Tensor>()>& work) {
  const int before = at::get_num_threads();
  at::set_num_threads(1);
  const std::vector<at::Tensor> one = work();
  at::set_num_threads(2);
  const std::vector<at::Tensor> two = work();
  at::set_num_threads(before);
  for (size_t i = 0; i < one.size(); ++i) {
    INFO("tensor " << i);
    CHECK(torch::equal(one[i], two[i]));
  }
}

std::vector<at::Tensor> with_gradients(const at::Tensor& y, const std::vector<at::Tensor>& leaves) {
  std::vector<at::Tensor> all = gradients_of(weighted_sum(y), leaves);
  all.push_back(y);
  return all;
}

TEST_CASE("Threads: linear layers give the same bits on one and two") {
  for (const auto type : {at::kFloat, at::kBFloat16}) {
    // LibTorch's float products of 5, 7 and 9 rows differ in themselves; no training pack has so
    // few.
    for (const int64_t rows : {4, 300, 1501}) {
      INFO(type << " rows " << rows);
      LinearCase c(rows, 128, 192, {{8, 0, 64, 0.1}, {8, 64, 192, 0.1}}, type);
      expect_same_bits([&] {
        return with_gradients(rms_norm_lora_linear(c.x, {}, c.norm, c.weight, c.key).y, c.leaves());
      });
      LinearCase down(rows, 96, 192, {{8, 0, 192, 0.1}}, type);
      down.x = short_values({rows, 192}, 9, type).set_requires_grad(true);
      expect_same_bits([&] {
        return with_gradients(swiglu_lora_linear(down.x, down.weight, down.key), down.leaves());
      });
    }
  }
}

TEST_CASE("Threads: attention gives the same bits on one and two") {
  const std::vector<Segment> segments = {
      {0, 90, 0, 0}, {90, 97, 0, 90}, {97, 150, 0, 90}, {150, 151, 0, 0}};
  const at::Tensor positions = torch::cat(
      {torch::arange(90), torch::arange(90, 97), torch::arange(90, 143), torch::arange(1)});
  for (const auto type : {at::kFloat, at::kBFloat16}) {
    const at::Tensor qkv = short_values({151, 3 * 96}, 4, type).set_requires_grad(true);
    expect_same_bits([&] {
      return with_gradients(
          segment_attention(qkv, positions, segments, 3, PositionEncoding::rope(32, 200)), {qkv});
    });
  }
}

TEST_CASE("Threads: the head gives the same bits on one and two") {
  for (const auto type : {at::kFloat, at::kBFloat16}) {
    for (const int64_t rows : {3, 70}) {
      const at::Tensor hidden = short_values({rows, 128}, 5, type).set_requires_grad(true);
      HeadWeight weight;
      weight.master = short_values({8000, 128}, 6, at::kFloat).set_requires_grad(true);
      weight.normalised = (weight.master / weight.master.norm(2, {1}, true)).detach().to(type);
      expect_same_bits([&] {
        return with_gradients(head_cross_entropy(hidden, weight, torch::arange(rows), 10),
                              {hidden, weight.master});
      });
    }
  }
}

}  // namespace
}  // namespace radgpt
