#include "libradgpt/ops/lora_linear.h"

#include <torch/types.h>

#include "libradgpt/base/error.h"
#include "tests/catch.h"
#include "tests/ops/gradient_checks.h"
#include "tests/ops/linear_case.h"
#include "tests/ops/plain_formulas.h"

namespace radgpt {
namespace {

enum class Input { kPlain, kRmsNorm, kSwiglu };

at::Tensor fused(Input input, const LinearCase& c) {
  switch (input) {
    case Input::kRmsNorm:
      return rms_norm_lora_linear(c.x, {}, c.norm, c.weight, c.key).y;
    case Input::kSwiglu:
      return swiglu_lora_linear(c.x, c.weight, c.key);
    case Input::kPlain:
      break;
  }
  return lora_linear(c.x, c.weight, c.key);
}

at::Tensor plain(Input input, const LinearCase& c) {
  at::Tensor x = c.x;
  if (input == Input::kRmsNorm) {
    x = plain_rms_norm(x, c.norm.master.to(x.scalar_type()), c.norm.epsilon);
  }
  if (input == Input::kSwiglu) x = plain_swiglu(x);
  return plain_lora_linear(x, c.weight.master, c.weight.pairs, c.key);
}

/// A case whose source is twice as wide for SwiGLU.
LinearCase make_case(Input input, int64_t rows, int64_t in, int64_t out,
                     const std::vector<PairShape>& pairs, at::ScalarType type) {
  LinearCase c(rows, in, out, pairs, type);
  if (input == Input::kSwiglu) {
    c.x = short_values({rows, 2 * in}, 4, type).set_requires_grad(true);
  }
  return c;
}

void expect_equals_plain(Input input, const LinearCase& c) {
  const at::Tensor y = fused(input, c), reference = plain(input, c);
  expect_close(y, reference, 1e-13);
  const auto gradients = gradients_of(weighted_sum(y), c.leaves());
  const auto expected = gradients_of(weighted_sum(reference), c.leaves());
  for (size_t i = 0; i < gradients.size(); ++i) {
    INFO("leaf " << i);
    expect_close(gradients[i], expected[i], 1e-13);
  }
}

const std::vector<Input> kInputs = {Input::kPlain, Input::kRmsNorm, Input::kSwiglu};

TEST_CASE("Lora linear: equals the plain formula in double, gradients too") {
  const PoisonedMemory poison;
  for (const Input input : kInputs) {
    for (const int64_t rank : {1, 4, 8, 16, 64}) {
      for (const double dropout : {0.0, 0.25}) {
        INFO("input " << static_cast<int>(input) << " rank " << rank << " dropout " << dropout);
        expect_equals_plain(input,
                            make_case(input, 37, 67, 29, {{rank, 0, 29, dropout}}, at::kDouble));
      }
    }
  }
}

TEST_CASE("Lora linear: odd shapes, from one element up") {
  const PoisonedMemory poison;
  for (const Input input : kInputs) {
    // RMSNorm of one column is its sign: the gradient is all cancellation.
    const int64_t in = input == Input::kRmsNorm ? 2 : 1;
    expect_equals_plain(input, make_case(input, 1, in, 1, {{1, 0, 1, 0.0}}, at::kDouble));
    expect_equals_plain(input, make_case(input, 1, 130, 3, {{4, 0, 3, 0.5}}, at::kDouble));
    expect_equals_plain(input, make_case(input, 211, 13, 5, {{2, 0, 5, 0.1}}, at::kDouble));
    expect_equals_plain(input, make_case(input, 3, 16, 300, {{3, 0, 300, 0.1}}, at::kDouble));
    expect_equals_plain(input, make_case(input, 19, 31, 17, {}, at::kDouble));
  }
}

TEST_CASE("Lora linear: two pairs share one input with masks of their own") {
  for (const Input input : kInputs) {
    for (const double second : {0.0, 0.5}) {
      const std::vector<PairShape> pairs = {{4, 0, 12, 0.25}, {8, 12, 30, second}};
      expect_equals_plain(input, make_case(input, 23, 35, 30, pairs, at::kDouble));
    }
  }
}

TEST_CASE("Lora linear: a pair may cover a part of the rows") {
  expect_equals_plain(Input::kPlain,
                      make_case(Input::kPlain, 9, 20, 12, {{2, 4, 8, 0.0}}, at::kDouble));
}

TEST_CASE("Lora linear: gradients match finite differences, dropout included") {
  for (const Input input : kInputs) {
    LinearCase c = make_case(input, 5, 7, 6, {{2, 0, 3, 0.25}, {3, 3, 6, 0.5}}, at::kDouble);
    std::vector<at::Tensor> leaves = c.leaves();
    if (input != Input::kRmsNorm) leaves.erase(leaves.begin() + 1);  // takes no part
    expect_difference_gradients(
        [&] {
          c.publish();
          return weighted_sum(fused(input, c));
        },
        leaves);
  }
}

TEST_CASE("Lora linear: as accurate as the chain of operations it replaces") {
  for (const auto type : {at::kFloat, at::kBFloat16}) {
    for (const Input input : kInputs) {
      const LinearCase c =
          make_case(input, 150, 96, 80, {{8, 0, 40, 0.125}, {16, 40, 80, 0.5}}, type);
      const LinearCase exact =
          make_case(input, 150, 96, 80, {{8, 0, 40, 0.125}, {16, 40, 80, 0.5}}, at::kDouble);
      INFO("input " << static_cast<int>(input) << " type " << type);
      const at::Tensor y = fused(input, c), naive = plain(input, c), wide = plain(input, exact);
      expect_as_accurate_as(naive, y, wide);
      const auto gradients = gradients_of(weighted_sum(y), c.leaves());
      const auto naive_gradients = gradients_of(weighted_sum(naive), c.leaves());
      const auto exact_gradients = gradients_of(weighted_sum(wide), exact.leaves());
      for (size_t i = 0; i < gradients.size(); ++i) {
        INFO("leaf " << i);
        CHECK(gradients[i].scalar_type() == c.leaves()[i].scalar_type());
        expect_as_accurate_as(naive_gradients[i], gradients[i], exact_gradients[i]);
      }
    }
  }
}

TEST_CASE("Lora linear: dropout is off when the key is not active") {
  LinearCase c(6, 10, 4, {{2, 0, 4, 0.5}}, at::kDouble);
  c.key.active = false;
  expect_equals_plain(Input::kPlain, c);
}

TEST_CASE("Lora linear: no rows give an empty result and zero gradients") {
  for (const Input input : kInputs) {
    const LinearCase c = make_case(input, 0, 10, 4, {{2, 0, 4, 0.5}}, at::kFloat);
    const at::Tensor y = fused(input, c);
    CHECK(y.sizes() == at::IntArrayRef({0, 4}));
    const auto gradients = gradients_of(y.sum(), c.leaves());
    for (const at::Tensor& gradient : gradients) CHECK(gradient.abs().sum().item<double>() == 0.0);
  }
}

TEST_CASE("Lora linear: only what asks for a gradient gets one") {
  LinearCase c(8, 12, 6, {{2, 0, 6, 0.0}}, at::kFloat);
  c.x.set_requires_grad(false);
  c.weight.master.reset();
  const auto gradients = gradients_of(lora_linear(c.x, c.weight, c.key).sum(),
                                      {c.weight.pairs[0].a_master, c.weight.pairs[0].b_master});
  CHECK(gradients[0].abs().sum().item<float>() > 0);
  CHECK(gradients[1].abs().sum().item<float>() > 0);
  const at::NoGradGuard no_grad;
  CHECK_FALSE(lora_linear(c.x, c.weight, c.key).requires_grad());
}

TEST_CASE("Lora linear: a source changed in place before backward is an error") {
  LinearCase c(3, 4, 2, {}, at::kFloat);
  const at::Tensor x = c.x * 2;
  const at::Tensor loss = rms_norm_lora_linear(x, {}, c.norm, c.weight, c.key).y.sum();
  x.detach().add_(1);
  CHECK_THROWS_AS(loss.backward(), Error);
}

TEST_CASE("Lora linear: refuses shapes that do not fit, and says which") {
  LinearCase c(3, 4, 2, {{2, 0, 2, 0.0}}, at::kFloat);
  CHECK_THROWS_WITH(lora_linear(c.x.narrow(1, 0, 3), c.weight, c.key),
                    "lora_linear: weight takes 4 columns of Float, got 3 of Float");
  BorderedWeight wrong = c.weight;
  wrong.pairs[0].row_end = 3;
  CHECK_THROWS_AS(lora_linear(c.x, wrong, c.key), Error);
  wrong = c.weight;
  wrong.pairs[0].dropout = 1.0;
  CHECK_THROWS_AS(lora_linear(c.x, wrong, c.key), Error);
  wrong = c.weight;
  wrong.pairs[0].a = wrong.pairs[0].a.to(at::kMeta);
  CHECK_THROWS_WITH(lora_linear(c.x, wrong, c.key),
                    "lora_linear: A must be on cpu as x is, got meta");
  wrong = c.weight;
  wrong.storage = wrong.storage.to(at::kMeta);
  CHECK_THROWS_AS(lora_linear(c.x, wrong, c.key), Error);
}

TEST_CASE("RMSNorm: equals the plain formula and finite differences") {
  const PoisonedMemory poison;
  LinearCase c(11, 67, 1, {}, at::kDouble);
  const at::Tensor reference = plain_rms_norm(c.x, c.norm.master, c.norm.epsilon);
  expect_close(rms_norm(c.x, {}, c.norm), reference, 1e-14);
  LinearCase small(3, 5, 1, {}, at::kDouble);
  expect_difference_gradients(
      [&] {
        small.publish();
        return weighted_sum(rms_norm(small.x, {}, small.norm));
      },
      {small.x, small.norm.master});
}

TEST_CASE("RMSNorm: casts before it multiplies by the weight, as Baichuan2 does") {
  const LinearCase c(40, 96, 1, {}, at::kBFloat16);
  const at::Tensor expected = plain_rms_norm(c.x, c.norm.weight, c.norm.epsilon);
  // The mean is summed in another order, which moves few quotients over a rounding boundary.
  const at::Tensor differs = rms_norm(c.x, {}, c.norm) != expected;
  CHECK(differs.sum().item<int64_t>() <= c.x.numel() / 100);
  expect_close(rms_norm(c.x, {}, c.norm), expected, 0x1p-9);
}

}  // namespace
}  // namespace radgpt
