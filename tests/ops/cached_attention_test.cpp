#include "libradgpt/ops/cached_attention.h"

#include <torch/types.h>

#include "libradgpt/base/error.h"
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
  const Segments segments = {{0, 9, 0, 0}, {9, 14, 0, 0}};
  const at::Tensor prefilled = prefill_attention(prompt_rows, positions, segments, kHeads, encoding,
                                                 place_segments(segments, {2, 1}, cache), cache);
  expect_close(prefilled.narrow(0, 9, 5), expected[0].narrow(0, 0, 5), relative);
  for (int32_t step = 0; step < kNew; ++step) {
    const std::vector<int32_t> lengths = {prompts[0] + step, prompts[1] + step};
    const at::Tensor rows = torch::stack({sequences[0][lengths[0]], sequences[1][lengths[1]]});
    const at::Tensor y =
        cached_attention(rows, torch::tensor({lengths[0], lengths[1]}, torch::kLong), kHeads,
                         encoding, place_next_tokens({1, 2}, lengths, cache), cache);
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
  const Segments segments = {{0, 3, 0, 0}, {3, 5, 0, 3}, {5, 8, 0, 3}, {8, 9, 0, 0}};
  prefill_attention(qkv, torch::tensor({0, 1, 2, 3, 4, 3, 4, 5, 0}, torch::kLong), segments, kHeads,
                    encoding, place_segments(segments, {-1, -1, 0, -1}, branched), branched);
  const at::Tensor rows = torch::cat({qkv.narrow(0, 0, 3), qkv.narrow(0, 5, 3)});
  const Segments one = {{0, 6, 0, 0}};
  prefill_attention(rows, torch::arange(6), one, kHeads, encoding, place_segments(one, {0}, plain),
                    plain);
  CHECK(torch::equal(branched.keys, plain.keys));
  CHECK(torch::equal(branched.values, plain.values));
}

TEST_CASE("Cached attention: a full cache is an error, not an overrun") {
  const LayerCache cache = empty_cache(1, 2, at::kFloat);
  CHECK_THROWS_WITH(place_next_tokens({0}, {2}, cache),
                    "attention: cache [1, 2, 24] has no room for entry 2 of sequence 0");
  CHECK_THROWS_AS(place_next_tokens({1}, {0}, cache), Error);
  CHECK_THROWS_AS(place_next_tokens({0}, {-1}, cache), Error);
  CHECK_THROWS_AS(place_segments({{0, 3, 0, 0}}, {0}, cache), Error);
  CHECK_THROWS_AS(place_segments({{0, 1, 0, 0}}, {1}, cache), Error);
}

TEST_CASE("Cached attention: a placement fits caches of one size and as many rows") {
  const PositionEncoding encoding = PositionEncoding::alibi(kHeads);
  LayerCache cache = empty_cache(2, 4, at::kFloat), larger = empty_cache(2, 5, at::kFloat);
  const CachePlacement placement = place_next_tokens({1}, {0}, cache);
  const at::Tensor position = torch::zeros({1}, torch::kLong);
  const at::Tensor row = torch::zeros({1, 3 * kHidden}), two = torch::zeros({2, 3 * kHidden});
  CHECK_THROWS_AS(cached_attention(row, position, kHeads, encoding, placement, larger), Error);
  CHECK_THROWS_AS(
      cached_attention(two, torch::zeros({2}, torch::kLong), kHeads, encoding, placement, cache),
      Error);
  const Segments segments = {{0, 1, 0, 0}}, longer = {{0, 2, 0, 0}};
  CHECK_THROWS_WITH(prefill_attention(row, position, segments, kHeads, encoding,
                                      place_segments(longer, {0}, cache), cache),
                    "attention: placement is of 2 tokens, got qkv [1, 72]");
  CHECK_THROWS_AS(cached_attention(row, position, kHeads, encoding,
                                   place_segments(segments, {0}, cache), cache),
                  Error);
}

}  // namespace
}  // namespace radgpt
