#include "libradgpt/ops/parameter_store.h"

#include <torch/types.h>

#include "libradgpt/base/error.h"
#include "tests/catch.h"

namespace radgpt {
namespace {

TEST_CASE("Parameter store: masters are views of one flat buffer, gradients of another") {
  ParameterStore store;
  CHECK(store.add({"a", {2, 3}}) == 0);
  CHECK(store.add({"b", {4}}) == 1);
  store.allocate();
  CHECK(store.numel() == 10);
  CHECK(store.spec(1).name == "b");
  store.flat().copy_(torch::arange(10));
  CHECK(store.master(0)[1][2].item<float>() == 5.0f);
  CHECK(store.master(1)[0].item<float>() == 6.0f);

  (store.master(0).sum() * 2 + store.master(1).sum() * 3).backward();
  store.master(1).sum().backward();
  const at::Tensor expected = torch::tensor({2, 2, 2, 2, 2, 2, 4, 4, 4, 4}, torch::kFloat);
  CHECK(torch::equal(store.flat_gradient(), expected));
  store.flat_gradient().zero_();
  CHECK(store.gradient(1).sum().item<float>() == 0.0f);
}

TEST_CASE("Parameter store: publish writes scaled, cast and normalised copies") {
  ParameterStore store;
  const size_t index = store.add({"w", {2, 2}});
  store.allocate();
  store.flat().copy_(torch::tensor({3.0f, 4.0f, 1.0f, 0.0f}));
  const at::Tensor border = torch::zeros({2, 6}, at::kBFloat16);
  const at::Tensor normalised = torch::zeros({2, 2});
  store.bind(index, border.narrow(1, 3, 2), ParameterStore::Binding::kCopy, 0.5);
  store.bind(index, normalised, ParameterStore::Binding::kNormalisedRows);
  store.publish();
  CHECK(border[0][3].item<float>() == 1.5f);
  CHECK(border[0][4].item<float>() == 2.0f);
  CHECK(border.sum().item<float>() == 4.0f);
  CHECK(torch::allclose(normalised, torch::tensor({{0.6f, 0.8f}, {1.0f, 0.0f}})));
}

TEST_CASE("Parameter store: an update runs after the copies, until it is unbound") {
  ParameterStore store;
  const size_t index = store.add({"w", {1, 2}, 4.0});
  store.allocate();
  const at::Tensor copy = torch::zeros({1, 2}), doubled = torch::zeros({1, 2});
  store.bind(index, copy);
  store.bind(index, [=] { at::Tensor(doubled).copy_(copy * 2); });
  store.flat().fill_(3.0f);
  store.publish();
  CHECK(doubled.sum().item<float>() == 12.0f);
  store.flat().fill_(5.0f);
  store.publish_others();
  CHECK(copy.sum().item<float>() == 6.0f);  // that of the optimizer's pass
  REQUIRE(store.trained_tensors().size() == 1);
  CHECK(store.trained_tensors()[0].copy == copy.data_ptr());
  CHECK(store.trained_tensors()[0].rate_ratio == 4.0f);
  store.unbind(index);
  store.publish();
  CHECK(copy.sum().item<float>() == 6.0f);
  CHECK(doubled.sum().item<float>() == 12.0f);
  CHECK(store.trained_tensors()[0].copy == nullptr);
}

TEST_CASE("Parameter store: refuses a late parameter and a copy of another shape") {
  ParameterStore store;
  store.add({"layers.0.w", {2, 2}});
  store.allocate();
  CHECK_THROWS_AS(store.add({"late", {1}}), Error);
  CHECK_THROWS_AS(store.allocate(), Error);
  CHECK_THROWS_WITH(store.bind(0, torch::zeros({2, 3})),
                    "parameter store: layers.0.w: bound tensor must have shape [2, 2], got [2, 3]");
}

}  // namespace
}  // namespace radgpt
