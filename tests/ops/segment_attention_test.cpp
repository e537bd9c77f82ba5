#include "libradgpt/ops/segment_attention.h"

#include <torch/types.h>

#include "libradgpt/base/error.h"
#include "libradgpt/ops/lora_linear.h"
#include "tests/catch.h"
#include "tests/ops/gradient_checks.h"
#include "tests/ops/linear_case.h"
#include "tests/ops/plain_formulas.h"

namespace radgpt {
namespace {

/// Segments of the given lengths, the first `branches` after a root of length `root` hanging off
/// it.
struct Layout {
  std::vector<Segment> segments;
  std::vector<int64_t> positions;

  void add_root(int length) {
    const auto begin = static_cast<int32_t>(positions.size());
    segments.push_back({begin, begin + length, 0, 0});
    for (int i = 0; i < length; ++i) positions.push_back(i);
  }
  void add_branch(Segment root, int length) {
    const auto begin = static_cast<int32_t>(positions.size());
    segments.push_back({begin, begin + length, root.begin, root.end});
    for (int i = 0; i < length; ++i) positions.push_back(root.length() + i);
  }
  int64_t tokens() const { return static_cast<int64_t>(positions.size()); }
};

/// Two reports with branches around a plain segment; longer than one block of queries.
Layout mixed_layout() {
  Layout layout;
  layout.add_root(41);
  layout.add_branch(layout.segments[0], 5);
  layout.add_branch(layout.segments[0], 37);
  layout.add_root(1);
  layout.add_root(13);
  layout.add_branch(layout.segments[4], 1);
  layout.add_branch(layout.segments[0], 2);
  return layout;
}

at::Tensor attend(const at::Tensor& qkv, const Layout& layout, int64_t heads,
                  const PositionEncoding& encoding) {
  return segment_attention(qkv, at::tensor(layout.positions), layout.segments, heads, encoding);
}

at::Tensor attend_plainly(const at::Tensor& qkv, const Layout& layout, int64_t heads,
                          const PositionEncoding& encoding) {
  return plain_attention(qkv, at::tensor(layout.positions), layout.segments, heads, encoding);
}

PositionEncoding encoding_for(bool rope, int64_t heads, int64_t head_dim) {
  return rope ? PositionEncoding::rope(head_dim, 100) : PositionEncoding::alibi(heads);
}

TEST_CASE("Attention: equals the plain formula in double, gradients too") {
  const PoisonedMemory poison;
  const Layout layout = mixed_layout();
  for (const bool rope : {true, false}) {
    for (const auto& [heads, head_dim] : {std::pair{1, 2}, {3, 10}, {5, 16}, {2, 34}}) {
      INFO("rope " << rope << " heads " << heads << " head_dim " << head_dim);
      const PositionEncoding encoding = encoding_for(rope, heads, head_dim);
      const at::Tensor qkv = short_values({layout.tokens(), 3 * heads * head_dim}, 1, at::kDouble)
                                 .set_requires_grad(true);
      const at::Tensor y = attend(qkv, layout, heads, encoding);
      const at::Tensor reference = attend_plainly(qkv, layout, heads, encoding);
      expect_close(y, reference, 1e-13);
      expect_close(gradients_of(weighted_sum(y), {qkv})[0],
                   gradients_of(weighted_sum(reference), {qkv})[0], 1e-13);
    }
  }
}

TEST_CASE("Attention: gradients match finite differences") {
  Layout layout;
  layout.add_root(3);
  layout.add_branch(layout.segments[0], 2);
  layout.add_branch(layout.segments[0], 1);
  for (const bool rope : {true, false}) {
    const PositionEncoding encoding = encoding_for(rope, 2, 4);
    const at::Tensor qkv =
        short_values({layout.tokens(), 24}, 2, at::kDouble).set_requires_grad(true);
    expect_difference_gradients([&] { return weighted_sum(attend(qkv, layout, 2, encoding)); },
                                {qkv});
  }
}

TEST_CASE("Attention: as accurate as the chain of operations it replaces") {
  const Layout layout = mixed_layout();
  for (const auto type : {at::kFloat, at::kBFloat16}) {
    for (const bool rope : {true, false}) {
      INFO("type " << type << " rope " << rope);
      const PositionEncoding encoding = encoding_for(rope, 4, 16);
      const auto run = [&](auto&& formula, at::ScalarType run_type) {
        const at::Tensor qkv =
            short_values({layout.tokens(), 192}, 3, run_type).set_requires_grad(true);
        const at::Tensor y = formula(qkv, layout, 4, encoding);
        return std::vector<at::Tensor>{y, gradients_of(weighted_sum(y), {qkv})[0]};
      };
      const auto fused = run(attend, type), naive = run(attend_plainly, type);
      const auto exact = run(attend_plainly, at::kDouble);
      for (size_t i = 0; i < 2; ++i) expect_as_accurate_as(naive[i], fused[i], exact[i]);
    }
  }
}

/// Two layers of adapted projection and attention over rows of x: a small stand-in for a model.
at::Tensor two_layers(const at::Tensor& x, const Layout& layout, const LinearCase& first,
                      const LinearCase& second, const PositionEncoding& encoding) {
  const DropoutKey no_dropout;
  const at::Tensor hidden =
      x + attend(rms_norm_lora_linear(x, {}, first.norm, first.weight, no_dropout).y, layout, 2,
                 encoding);
  return attend(rms_norm_lora_linear(hidden, {}, second.norm, second.weight, no_dropout).y, layout,
                2, encoding);
}

TEST_CASE("Attention: a shared prefix gives the gradients of the separate examples") {
  const std::vector<int> branches = {3, 9, 1, 6};
  constexpr int kRoot = 35, kHidden = 12;
  Layout shared, separate;
  shared.add_root(kRoot);
  std::vector<at::Tensor> rows_of_separate, answers_of_separate;
  for (const int length : branches) {
    const int64_t begin = shared.tokens(), end = begin + length;
    shared.add_branch(shared.segments[0], length);
    separate.add_root(kRoot + length);
    rows_of_separate.push_back(at::cat({at::arange(kRoot), at::arange(begin, end)}));
    answers_of_separate.push_back(at::arange(separate.tokens() - length, separate.tokens()));
  }
  const at::Tensor x =
      short_values({shared.tokens(), kHidden}, 5, at::kDouble).set_requires_grad(true);
  const std::vector<PairShape> pairs = {{4, 0, 3 * kHidden, 0.0}};
  for (const bool rope : {true, false}) {
    const PositionEncoding encoding = encoding_for(rope, 2, kHidden / 2);
    const LinearCase first(1, kHidden, 3 * kHidden, pairs, at::kDouble);
    const LinearCase second(2, kHidden, 3 * kHidden, pairs, at::kDouble);
    std::vector<at::Tensor> leaves = first.leaves(), more = second.leaves();
    leaves[0] = x;
    leaves.insert(leaves.end(), more.begin() + 1, more.end());
    const at::Tensor together =
        two_layers(x, shared, first, second, encoding).narrow(0, kRoot, shared.tokens() - kRoot);
    const at::Tensor apart =
        two_layers(x.index_select(0, at::cat(rows_of_separate)), separate, first, second, encoding)
            .index_select(0, at::cat(answers_of_separate));
    expect_close(together, apart, 1e-12);
    const auto gradients = gradients_of(weighted_sum(together), leaves);
    const auto expected = gradients_of(weighted_sum(apart), leaves);
    for (size_t i = 0; i < leaves.size(); ++i) expect_close(gradients[i], expected[i], 1e-9);
  }
}

TEST_CASE("Attention: the gradient of a pack is the sum over its examples") {
  Layout packed;
  for (const int length : {7, 33, 2}) packed.add_root(length);
  const at::Tensor qkv =
      short_values({packed.tokens(), 36}, 6, at::kDouble).set_requires_grad(true);
  const PositionEncoding encoding = PositionEncoding::alibi(3);
  const at::Tensor y = attend(qkv, packed, 3, encoding);
  at::Tensor loss_apart = at::zeros({}, at::kDouble), loss_together = at::zeros({}, at::kDouble);
  for (const Segment& segment : packed.segments) {
    Layout alone;
    alone.add_root(segment.length());
    const at::Tensor rows = qkv.narrow(0, segment.begin, segment.length());
    loss_apart = loss_apart + weighted_sum(attend(rows, alone, 3, encoding));
    loss_together = loss_together + weighted_sum(y.narrow(0, segment.begin, segment.length()));
  }
  expect_close(loss_together, loss_apart, 1e-13);
  expect_close(gradients_of(loss_together, {qkv})[0], gradients_of(loss_apart, {qkv})[0], 1e-13);
}

TEST_CASE("Attention: a result that nobody uses goes, without a backward pass") {
  for (const auto type : {at::kFloat, at::kBFloat16}) {
    const at::Tensor qkv = short_values({6, 72}, 3, type).set_requires_grad(true);
    at::Tensor out = segment_attention(qkv, torch::arange(6), std::vector<Segment>{{0, 6, 0, 0}}, 3,
                                       PositionEncoding::rope(8, 16));
    const c10::weak_intrusive_ptr<c10::TensorImpl> weak(out.getIntrusivePtr());
    out.reset();
    CHECK(weak.expired());
  }
}

TEST_CASE("Attention: operands on different devices are refused, and which") {
  const at::Tensor qkv = torch::zeros({6, 72}), positions = torch::arange(6);
  const PositionEncoding encoding = PositionEncoding::rope(8, 16);
  const std::vector<Segment> segments = {{0, 6, 0, 0}};
  CHECK_THROWS_WITH(segment_attention(qkv, positions.to(at::kMeta), segments, 3, encoding),
                    "attention: positions and encoding must be on cpu as qkv is, got meta");
  CHECK_THROWS_AS(segment_attention(qkv, positions, segments, 3, encoding.to(at::kMeta)), Error);
  CHECK_THROWS_WITH(
      segment_attention(qkv, positions, AttentionLayout(segments, at::kMeta), 3, encoding),
      "attention: layout must be on cpu as qkv is, got meta");
}

TEST_CASE("Attention: no tokens give an empty result") {
  const at::Tensor qkv = at::empty({0, 12}).set_requires_grad(true);
  const at::Tensor y = attend(qkv, {}, 2, PositionEncoding::alibi(2));
  CHECK(y.sizes() == at::IntArrayRef({0, 4}));
  CHECK(gradients_of(y.sum(), {qkv})[0].numel() == 0);
}

TEST_CASE("Attention: refuses segments that do not fit, and says which") {
  const at::Tensor qkv = at::zeros({4, 12}), positions = at::arange(4);
  const PositionEncoding encoding = PositionEncoding::alibi(2);
  const auto run = [&](const std::vector<Segment>& segments) {
    return segment_attention(qkv, positions, segments, 2, encoding);
  };
  CHECK_THROWS_WITH(run({{0, 3, 0, 0}}), "attention: segments must cover all 4 tokens, got 3");
  CHECK_THROWS_AS(run({{0, 2, 0, 0}, {1, 4, 0, 0}}), Error);
  CHECK_THROWS_AS(run({{0, 2, 0, 0}, {2, 4, 0, 1}}), Error);
  CHECK_THROWS_AS(run({{0, 1, 0, 0}, {1, 2, 0, 1}, {2, 4, 1, 2}}), Error);
  CHECK_THROWS_AS(segment_attention(qkv, positions, std::vector<Segment>{{0, 4, 0, 0}}, 2,
                                    PositionEncoding::rope(2, 3)),
                  Error);
}

}  // namespace
}  // namespace radgpt
