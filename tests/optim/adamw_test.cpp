#include "libradgpt/optim/adamw.h"

#include <torch/torch.h>

#include <cmath>
#include <limits>

#include "tests/catch.h"

namespace radgpt {
namespace {

void fill(ParameterStore& store) {
  store.add({"matrix", {33, 1021}});
  store.add({"norm", {517}});
  store.allocate();
  at::Generator generator = at::make_generator<at::CPUGeneratorImpl>(3);
  store.flat().copy_(at::randn({store.numel()}, generator));
}

at::Tensor gradient_at(int64_t step, int64_t count) {
  at::Generator generator = at::make_generator<at::CPUGeneratorImpl>(100 + step);
  return at::randn({count}, generator);
}

TEST_CASE("AdamW: follows LibTorch's own AdamW, decaying matrices only") {
  ParameterStore store;
  fill(store);
  at::Tensor matrix = store.master(0).detach().clone().set_requires_grad(true);
  at::Tensor norm = store.master(1).detach().clone().set_requires_grad(true);
  const auto options = torch::optim::AdamWOptions(1e-2).betas({0.9, 0.95}).eps(1e-8);
  torch::optim::AdamW decaying({matrix}, torch::optim::AdamWOptions(options).weight_decay(0.1));
  torch::optim::AdamW plain({norm}, torch::optim::AdamWOptions(options).weight_decay(0.0));
  AdamW ours(store, {0.9, 0.95, 1e-8, 0.1});
  for (int64_t step = 0; step < 10; ++step) {
    const at::Tensor gradient = gradient_at(step, store.numel());
    store.flat_gradient().copy_(gradient);
    ours.step(1e-2, 0.5);
    matrix.mutable_grad() = gradient.narrow(0, 0, matrix.numel()).view_as(matrix) * 0.5;
    norm.mutable_grad() = gradient.narrow(0, matrix.numel(), norm.numel()) * 0.5;
    decaying.step();
    plain.step();
  }
  // Both compute in fp32 with other roundings; ten steps of size 1e-2 move a weight by 0.1.
  CHECK(at::allclose(store.master(0), matrix, 1e-5, 1e-6));
  CHECK(at::allclose(store.master(1), norm, 1e-5, 1e-6));
}

TEST_CASE("AdamW: a gradient that stays the same moves a weight by the learning rate each step") {
  ParameterStore store;
  fill(store);
  store.flat().zero_();
  AdamW optimizer(store, {});
  for (int64_t step = 1; step <= 10; ++step) {
    store.flat_gradient().fill_(0.3);
    optimizer.step(1e-2, 1.0);
    // A few roundings of fp32 a step.
    CHECK(store.flat()[0].item<double>() == Approx(-1e-2 * step).epsilon(5e-7));
  }
}

TEST_CASE("AdamW: gives the same bits on one thread and on two") {
  at::Tensor results[2];
  for (const int threads : {1, 2}) {
    at::set_num_threads(threads);
    ParameterStore store;
    fill(store);
    AdamW optimizer(store, {});
    for (int64_t step = 0; step < 3; ++step) {
      store.flat_gradient().copy_(gradient_at(step, store.numel()));
      optimizer.step(1e-2, 1.0);
    }
    results[threads - 1] = store.flat().clone();
  }
  CHECK(at::equal(results[0], results[1]));
}

TEST_CASE("AdamW: goes on from restored moments as if never stopped") {
  ParameterStore whole;
  ParameterStore parts;
  fill(whole);
  fill(parts);
  AdamW unbroken(whole, {});
  AdamW before(parts, {});
  AdamW after(parts, {});
  for (int64_t step = 0; step < 6; ++step) {
    whole.flat_gradient().copy_(gradient_at(step, whole.numel()));
    unbroken.step(1e-2, 1.0);
    parts.flat_gradient().copy_(gradient_at(step, parts.numel()));
    if (step == 3) after.restore(before.first_moment(), before.second_moment(), before.updates());
    (step < 3 ? before : after).step(1e-2, 1.0);
  }
  CHECK(at::equal(whole.flat(), parts.flat()));
}

TEST_CASE("Gradient norm: equals the norm in double and shows what is not finite") {
  at::Tensor values = gradient_at(0, 100'003);
  const double expected = values.to(at::kDouble).norm().item<double>();
  CHECK(gradient_norm(values) == Approx(expected).epsilon(1e-12));
  values[70'000] = std::numeric_limits<float>::infinity();
  CHECK(std::isinf(gradient_norm(values)));
  values[3] = std::numeric_limits<float>::quiet_NaN();
  CHECK(std::isnan(gradient_norm(values)));
}

}  // namespace
}  // namespace radgpt
