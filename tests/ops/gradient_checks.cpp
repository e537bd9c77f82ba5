#include "tests/ops/gradient_checks.h"

#include <torch/types.h>

#include "tests/catch.h"

namespace radgpt {

at::Tensor weighted_sum(const at::Tensor& y) {
  const at::Tensor index = torch::arange(y.numel(), at::kDouble).view(y.sizes());
  return (y * torch::sin(index * 1.7 + 0.3).to(y.scalar_type())).sum();
}

std::vector<at::Tensor> gradients_of(const at::Tensor& loss,
                                     const std::vector<at::Tensor>& leaves) {
  std::vector<at::Tensor> gradients = torch::autograd::grad({loss}, leaves, {}, false, false, true);
  for (size_t i = 0; i < leaves.size(); ++i) {
    if (!gradients[i].defined()) gradients[i] = torch::zeros_like(leaves[i]);
  }
  return gradients;
}

void expect_difference_gradients(const std::function<at::Tensor()>& loss,
                                 const std::vector<at::Tensor>& leaves) {
  constexpr double kStep = 1e-6;
  const at::Tensor value = loss();
  const std::vector<at::Tensor> gradients = gradients_of(value, leaves);
  const at::NoGradGuard no_grad;
  for (size_t i = 0; i < leaves.size(); ++i) {
    at::Tensor differences = torch::empty_like(leaves[i]);
    for (int64_t j = 0; j < leaves[i].numel(); ++j) {
      double* element = leaves[i].data_ptr<double>() + j;
      const double before = *element;
      *element = before + kStep;
      const double above = loss().item<double>();
      *element = before - kStep;
      const double below = loss().item<double>();
      *element = before;
      differences.data_ptr<double>()[j] = (above - below) / (2 * kStep);
    }
    const double error = (differences - gradients[i]).abs().max().item<double>();
    const double size =
        std::max(differences.abs().max().item<double>(), std::abs(value.item<double>()));
    INFO("leaf " << i << " of " << leaves[i].sizes());
    CHECK(error <= 1e-8 * std::max(size, 1.0));
    CHECK(differences.abs().max().item<double>() > 0.0);
  }
}

void expect_close(const at::Tensor& actual, const at::Tensor& expected, double relative) {
  REQUIRE(actual.sizes() == expected.sizes());
  const double error = (actual - expected).to(at::kDouble).norm().item<double>();
  CHECK(error <= relative * expected.to(at::kDouble).norm().item<double>());
}

void expect_as_accurate_as(const at::Tensor& naive, const at::Tensor& fused,
                           const at::Tensor& exact) {
  REQUIRE(fused.sizes() == exact.sizes());
  const auto distance = [&](const at::Tensor& t) {
    return (t.to(at::kDouble) - exact).norm().item<double>();
  };
  const double rounding = naive.scalar_type() == at::kBFloat16 ? 0x1p-9 : 0x1p-24;
  const double allowed = 2 * distance(naive) + rounding * exact.norm().item<double>();
  CHECK(distance(fused) <= allowed);
}

PoisonedMemory::PoisonedMemory() {
  at::globalContext().setDeterministicAlgorithms(true, false);
  at::globalContext().setDeterministicFillUninitializedMemory(true);
}

PoisonedMemory::~PoisonedMemory() { at::globalContext().setDeterministicAlgorithms(false, false); }

}  // namespace radgpt
