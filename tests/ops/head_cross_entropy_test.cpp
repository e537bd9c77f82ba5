#include "libradgpt/ops/head_cross_entropy.h"

#include <torch/types.h>

#include "libradgpt/base/error.h"
#include "tests/catch.h"
#include "tests/ops/gradient_checks.h"
#include "tests/ops/linear_case.h"
#include "tests/ops/plain_formulas.h"

namespace radgpt {
namespace {

struct HeadCase {
  at::Tensor hidden;
  at::Tensor targets;
  HeadWeight weight;

  HeadCase(int64_t rows, int64_t width, int64_t vocabulary, at::ScalarType type) {
    hidden = (4 * short_values({rows, width}, 1, type)).set_requires_grad(true);
    weight.master =
        short_values({vocabulary, width}, 2, type == at::kDouble ? at::kDouble : at::kFloat)
            .set_requires_grad(true);
    targets = (torch::arange(rows) * 7 + 1) % vocabulary;
    publish(type);
  }

  void publish(at::ScalarType type) {
    const at::NoGradGuard no_grad;
    weight.normalised = (weight.master / weight.master.norm(2, {1}, true)).to(type);
  }
};

void expect_equals_plain(const HeadCase& c) {
  const at::Tensor loss = head_cross_entropy(c.hidden, c.weight, c.targets, 12.5) * 3;
  const at::Tensor expected = plain_cross_entropy(c.hidden, c.weight.master, c.targets, 12.5) * 3;
  expect_close(loss, expected, 1e-13);
  const auto gradients = gradients_of(loss, {c.hidden, c.weight.master});
  const auto reference = gradients_of(expected, {c.hidden, c.weight.master});
  for (size_t i = 0; i < 2; ++i) expect_close(gradients[i], reference[i], 1e-12);
}

TEST_CASE("Head: loss and gradients equal the plain formula in double") {
  const PoisonedMemory poison;
  for (const auto& [rows, width, vocabulary] :
       {std::array{1, 5, 2}, {7, 16, 129}, {53, 33, 1000}}) {
    expect_equals_plain(HeadCase(rows, width, vocabulary, at::kDouble));
  }
}

TEST_CASE("Head: more rows than a chunk give the same") {
  expect_equals_plain(HeadCase(150, 3, 125696, at::kDouble));  // 64 rows a chunk
}

TEST_CASE("Head: a weight counts a row as often as it says") {
  const HeadCase c(3, 5, 11, at::kDouble);
  const std::vector<float> weights = {0.5f, 3.0f, 1.0f};
  const at::Tensor loss = head_cross_entropy(c.hidden, c.weight, c.targets, 4.5, weights);
  at::Tensor expected = at::zeros({}, at::kDouble);
  for (int64_t row = 0; row < 3; ++row) {
    expected = expected + weights[static_cast<size_t>(row)] *
                              plain_cross_entropy(c.hidden.narrow(0, row, 1), c.weight.master,
                                                  c.targets.narrow(0, row, 1), 4.5);
  }
  expect_close(loss, expected, 1e-13);
  const auto gradients = gradients_of(loss, {c.hidden, c.weight.master});
  const auto reference = gradients_of(expected, {c.hidden, c.weight.master});
  for (size_t i = 0; i < 2; ++i) expect_close(gradients[i], reference[i], 1e-12);
  CHECK_THROWS_WITH(head_cross_entropy(c.hidden, c.weight, c.targets, 1, {1.0f}),
                    "head_cross_entropy: weights must be 3, one a row, got 1");
}

TEST_CASE("Head: gradients match finite differences, through the normalisation") {
  HeadCase c(3, 4, 5, at::kDouble);
  expect_difference_gradients(
      [&] {
        c.publish(at::kDouble);
        return head_cross_entropy(c.hidden, c.weight, c.targets, 2.0);
      },
      {c.hidden, c.weight.master});
}

TEST_CASE("Head: as accurate as the chain of operations it replaces") {
  for (const auto type : {at::kFloat, at::kBFloat16}) {
    const HeadCase c(60, 48, 700, type), exact(60, 48, 700, at::kDouble);
    const auto naive_loss = plain_cross_entropy(c.hidden, c.weight.master, c.targets, 60);
    const auto loss = head_cross_entropy(c.hidden, c.weight, c.targets, 60);
    const auto exact_loss =
        plain_cross_entropy(exact.hidden, exact.weight.master, exact.targets, 60);
    const auto naive = gradients_of(naive_loss, {c.hidden, c.weight.master});
    const auto fused = gradients_of(loss, {c.hidden, c.weight.master});
    const auto wide = gradients_of(exact_loss, {exact.hidden, exact.weight.master});
    for (size_t i = 0; i < 2; ++i) expect_as_accurate_as(naive[i], fused[i], wide[i]);
    // The logits, of size 4, are rounded to the type once in either.
    const double rounding = type == at::kFloat ? 0x1p-22 : 0x1p-7;
    CHECK(std::abs(loss.item<double>() - exact_loss.item<double>()) < rounding);
  }
}

TEST_CASE("Head: no rows cost nothing and give zero gradients") {
  const HeadCase c(0, 6, 9, at::kFloat);
  const at::Tensor loss = head_cross_entropy(c.hidden, c.weight, c.targets, 4);
  CHECK(loss.item<float>() == 0.0f);
  const auto gradients = gradients_of(loss, {c.hidden, c.weight.master});
  CHECK(gradients[0].numel() == 0);
  CHECK(gradients[1].abs().sum().item<float>() == 0.0f);
}

TEST_CASE("Head: log probabilities and logits are those of the softmax") {
  const HeadCase c(20, 12, 50, at::kDouble);
  const at::Tensor logits = torch::matmul(c.hidden, c.weight.normalised.t()).detach();
  const at::Tensor expected =
      torch::log_softmax(logits, -1).gather(1, c.targets.unsqueeze(1)).squeeze(1);
  const at::Tensor actual = head_log_probabilities(c.hidden, c.weight, c.targets);
  CHECK_FALSE(actual.requires_grad());
  expect_close(actual, expected, 0x1p-23);
  expect_close(head_logits(c.hidden, c.weight), logits, 0x1p-23);
}

TEST_CASE("Head: a target outside the vocabulary is an error") {
  HeadCase c(2, 3, 5, at::kFloat);
  c.targets = torch::tensor({1, 5}, torch::kLong);
  CHECK_THROWS_WITH(head_cross_entropy(c.hidden, c.weight, c.targets, 1),
                    "head_cross_entropy: targets must be in [0, 5), got 5");
}

}  // namespace
}  // namespace radgpt
