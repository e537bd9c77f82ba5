#include <torch/types.h>

#include "libradgpt/base/error.h"
#include "libradgpt/ops/lora_linear.h"
#include "tests/catch.h"
#include "tests/ops/gradient_checks.h"
#include "tests/ops/linear_case.h"
#include "tests/ops/plain_formulas.h"

namespace radgpt {
namespace {

/// A normed linear layer that takes a branch into the residual stream before it.
struct StreamCase : LinearCase {
  at::Tensor branch;

  StreamCase(int64_t rows, at::ScalarType type)
      : LinearCase(rows, 96, 80, {{8, 0, 40, 0.125}, {16, 40, 80, 0.5}}, type),
        branch(short_values({rows, 96}, 5, type).set_requires_grad(true)) {}

  NormedProduct fused() const { return rms_norm_lora_linear(x, branch, norm, weight, key); }
  NormedProduct plain() const {
    const at::Tensor sum = x + branch;
    const at::Tensor y = plain_rms_norm(sum, norm.master.to(sum.scalar_type()), norm.epsilon);
    return {sum, plain_lora_linear(y, weight.master, weight.pairs, key)};
  }
  std::vector<at::Tensor> all_leaves() const {
    std::vector<at::Tensor> all = leaves();
    all.push_back(branch);
    return all;
  }
};

/// A loss in which both results take part, as in a stack of layers.
at::Tensor loss_of(const NormedProduct& result) {
  return weighted_sum(result.y) + weighted_sum(result.sum * 2);
}

TEST_CASE(
    "Residual stream: sum, product and gradients equal those of an addition before the norm") {
  const PoisonedMemory poison;
  for (const int64_t rows : {1, 37}) {
    INFO("rows " << rows);
    const StreamCase c(rows, at::kDouble);
    const NormedProduct fused = c.fused(), plain = c.plain();
    CHECK(at::equal(fused.sum, plain.sum));
    expect_close(fused.y, plain.y, 1e-13);
    const auto gradients = gradients_of(loss_of(fused), c.all_leaves());
    const auto expected = gradients_of(loss_of(plain), c.all_leaves());
    for (size_t i = 0; i < gradients.size(); ++i) {
      INFO("leaf " << i);
      expect_close(gradients[i], expected[i], 1e-13);
    }
  }
}

TEST_CASE("Residual stream: gradients where one result alone is used") {
  const StreamCase c(5, at::kDouble);
  for (const bool sum : {false, true}) {
    INFO((sum ? "the sum" : "the product"));
    const auto used = [&](const NormedProduct& result) {
      return weighted_sum(sum ? result.sum : result.y);
    };
    const auto gradients = gradients_of(used(c.fused()), c.all_leaves());
    const auto expected = gradients_of(used(c.plain()), c.all_leaves());
    for (size_t i = 0; i < gradients.size(); ++i) {
      INFO("leaf " << i);
      expect_close(gradients[i], expected[i], 1e-13);
    }
  }
}

TEST_CASE("Residual stream: as accurate as the chain of operations it replaces") {
  for (const auto type : {at::kFloat, at::kBFloat16}) {
    INFO(type);
    const StreamCase c(150, type), exact(150, at::kDouble);
    const NormedProduct fused = c.fused(), naive = c.plain(), wide = exact.plain();
    CHECK(at::equal(fused.sum, naive.sum));
    expect_as_accurate_as(naive.y, fused.y, wide.y);
    const auto gradients = gradients_of(loss_of(fused), c.all_leaves());
    const auto naive_gradients = gradients_of(loss_of(naive), c.all_leaves());
    const auto exact_gradients = gradients_of(loss_of(wide), exact.all_leaves());
    for (size_t i = 0; i < gradients.size(); ++i) {
      INFO("leaf " << i);
      expect_as_accurate_as(naive_gradients[i], gradients[i], exact_gradients[i]);
    }
  }
}

TEST_CASE("Residual stream: a sum of what asks for no gradient asks for none") {
  StreamCase c(4, at::kFloat);
  c.x.set_requires_grad(false);
  c.branch.set_requires_grad(false);
  const NormedProduct result = c.fused();
  CHECK_FALSE(result.sum.requires_grad());
  CHECK(result.y.requires_grad());
  CHECK(rms_norm_lora_linear(c.x, {}, c.norm, c.weight, c.key).sum.is_same(c.x));
}

TEST_CASE("Residual stream: the last norm takes a branch too") {
  const StreamCase c(11, at::kDouble);
  const at::Tensor fused = rms_norm(c.x, c.branch, c.norm);
  const at::Tensor plain = plain_rms_norm(c.x + c.branch, c.norm.master, c.norm.epsilon);
  expect_close(fused, plain, 1e-14);
  const std::vector<at::Tensor> leaves = {c.x, c.branch, c.norm.master};
  const auto gradients = gradients_of(weighted_sum(fused), leaves);
  const auto expected = gradients_of(weighted_sum(plain), leaves);
  for (size_t i = 0; i < gradients.size(); ++i) expect_close(gradients[i], expected[i], 1e-13);
}

TEST_CASE("Residual stream: results that nobody uses go, without a backward pass") {
  const StreamCase c(4, at::kBFloat16);
  NormedProduct result = c.fused();
  const c10::weak_intrusive_ptr<c10::TensorImpl> sum(result.sum.getIntrusivePtr());
  const c10::weak_intrusive_ptr<c10::TensorImpl> y(result.y.getIntrusivePtr());
  result = {};
  CHECK(sum.expired());
  CHECK(y.expired());
}

TEST_CASE("Residual stream: a branch of another shape is refused") {
  const StreamCase c(4, at::kFloat);
  CHECK_THROWS_WITH(rms_norm(c.x, c.branch.narrow(0, 0, 3), c.norm),
                    "rms_norm: a branch like x, [4, 96] Float on cpu, got [3, 96] Float on cpu");
}

}  // namespace
}  // namespace radgpt
