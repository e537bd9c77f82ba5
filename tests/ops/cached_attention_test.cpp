#include <torch/types.h>

#include "libradgpt/base/error.h"
#include "libradgpt/ops/segment_attention.h"
#include "tests/catch.h"
#include "tests/ops/gradient_checks.h"
#include "tests/ops/linear_case.h"

namespace radgpt {
namespace {

constexpr int64_t kHeads = 3, kHeadDim = 8, kHidden = kHeads * kHeadDim;

LayerCache empty_cache(int64_t sequences, int64_t capacity, at::ScalarType type) {
  return {torch::zeros({sequences, capacity, kHidden}, type),
          torch::zeros({sequences, capacity, kHidden}, type)};
}

using Segments = std::vector<Segment>;

at::Tensor whole(const at::Tensor& qkv, const PositionEncoding& encoding) {
  const auto length = static_cast<int32_t>(qkv.size(0));
  return segment_attention(qkv, torch::arange(length), Segments{{0, length, 0, 0}}, kHeads,
                           encoding);
}

/// Two prompts of unequal length, then token by token: against attention over the whole sequences.
void expect_decoding_equals_whole(const PositionEncoding& encoding, at::ScalarType type,
                                  double relative) {
  const std::vector<int32_t> prompts = {5, 9};
  constexpr int32_t kNew = 4;
  std::vector<at::Tensor> sequences, expected;
  for (size_t s = 0; s < 2; ++s) {
    sequences.push_back(short_values({prompts[s] + kNew, 3 * kHidden}, s, type));
    expected.push_back(whole(sequences[s], encoding));
  }
  LayerCache cache = empty_cache(3, 16, type);
  // Sequence 0 of the cache stays unused; the second prompt stands first in the pack.
  const at::Tensor prompt_rows =
      torch::cat({sequences[1].narrow(0, 0, prompts[1]), sequences[0].narrow(0, 0, prompts[0])});
  const at::Tensor positions = torch::cat({torch::arange(prompts[1]), torch::arange(prompts[0])});
  const at::Tensor prefilled =
      prefill_attention(prompt_rows, positions, Segments{{0, 9, 0, 0}, {9, 14, 0, 0}}, kHeads,
                        encoding, {2, 1}, cache);
  expect_close(prefilled.narrow(0, 9, 5), expected[0].narrow(0, 0, 5), relative);
  for (int32_t step = 0; step < kNew; ++step) {
    const std::vector<int32_t> lengths = {prompts[0] + step, prompts[1] + step};
    const at::Tensor rows = torch::stack({sequences[0][lengths[0]], sequences[1][lengths[1]]});
    const at::Tensor y =
        cached_attention(rows, torch::tensor({lengths[0], lengths[1]}, torch::kLong), {1, 2},
                         lengths, kHeads, encoding, cache);
    for (int64_t s = 0; s < 2; ++s) expect_close(y[s], expected[s][lengths[s]], relative);
  }
  CHECK(cache.keys[0].abs().sum().item<double>() == 0.0);
}

TEST_CASE("Cached attention: decoding equals attention over the whole sequence") {
  for (const PositionEncoding& encoding :
       {PositionEncoding::rope(kHeadDim, 64), PositionEncoding::alibi(kHeads)}) {
    expect_decoding_equals_whole(encoding, at::kDouble, 1e-14);
    expect_decoding_equals_whole(encoding, at::kFloat, 1e-6);       // sums of 13 terms in float
    expect_decoding_equals_whole(encoding, at::kBFloat16, 0x1p-8);  // one rounding more or less
  }
}

TEST_CASE("Cached attention: a prefix is cached before the rows of its branch") {
  const PositionEncoding encoding = PositionEncoding::rope(kHeadDim, 64);
  const at::Tensor qkv = short_values({9, 3 * kHidden}, 7, at::kDouble);
  LayerCache branched = empty_cache(1, 8, at::kDouble), plain = empty_cache(1, 8, at::kDouble);
  prefill_attention(qkv, torch::tensor({0, 1, 2, 3, 4, 3, 4, 5, 0}, torch::kLong),
                    Segments{{0, 3, 0, 0}, {3, 5, 0, 3}, {5, 8, 0, 3}, {8, 9, 0, 0}}, kHeads,
                    encoding, {-1, -1, 0, -1}, branched);
  const at::Tensor rows = torch::cat({qkv.narrow(0, 0, 3), qkv.narrow(0, 5, 3)});
  prefill_attention(rows, torch::arange(6), Segments{{0, 6, 0, 0}}, kHeads, encoding, {0}, plain);
  CHECK(torch::equal(branched.keys, plain.keys));
  CHECK(torch::equal(branched.values, plain.values));
}

TEST_CASE("Cached attention: a full cache is an error, not an overrun") {
  LayerCache cache = empty_cache(1, 2, at::kFloat);
  const PositionEncoding encoding = PositionEncoding::alibi(kHeads);
  const at::Tensor row = torch::zeros({1, 3 * kHidden});
  CHECK_THROWS_AS(
      cached_attention(row, torch::tensor({2}, torch::kLong), {0}, {2}, kHeads, encoding, cache),
      Error);
  CHECK_THROWS_AS(
      cached_attention(row, torch::tensor({0}, torch::kLong), {1}, {0}, kHeads, encoding, cache),
      Error);
}

}  // namespace
}  // namespace radgpt
