// The example is compiled into the tests as it stands.
#include <torch/types.h>

#include <algorithm>
#include <cmath>

#include "examples/custom_head/focal_head.cpp"
#include "tests/catch.h"
#include "tests/model/reference_model.h"
#include "tests/model/small_packs.h"

namespace radgpt {

namespace {

struct Focal {
  Baichuan model{small_config(PositionKind::kRope), at::kFloat};
  std::unique_ptr<Head> head;
  ParameterStore store;

  Focal() {
    head = make_head("focal", {.model = model, .example_classes = {1, -1, 0}, .classes = 2});
    head->add_parameters(store);
    store.allocate();
    head->bind_parameters(store);
  }
};

Pack three_examples() {
  Pack pack = single_pack({195, 196, 195, 196, 195, 196});
  pack.examples = {{0, 1}, {1, 3}, {2, 5}};
  return pack;
}

}  // namespace

TEST_CASE("Custom head: its line makes it known by name") {
  const auto names = head_names();
  CHECK(std::find(names.begin(), names.end(), "focal") != names.end());
}

TEST_CASE("Custom head: the loss is the focal loss of the examples with a class") {
  Focal focal;
  REQUIRE(focal.head->terms(three_examples()) == 2);
  // W = 0 makes both classes equally likely: -(1/2)^2 log(1/2) each.
  const HeadOutput output = focal.head->forward(at::randn({6, 48}), three_examples(), 4);
  const double expected = 2 * 0.25 * std::log(2.0);
  CHECK(output.terms == 2);
  CHECK(output.loss_sum == Approx(expected).epsilon(1e-6));
  CHECK(output.loss.item<double>() == Approx(expected / 4).epsilon(1e-6));
}

TEST_CASE("Custom head: a few steps along its gradient tell the classes apart") {
  Focal focal;
  const at::Tensor hidden = at::randn({6, 48});
  for (int step = 0; step < 50; ++step) {
    focal.store.flat_gradient().zero_();
    focal.head->forward(hidden, three_examples(), 2).loss.backward();
    const at::NoGradGuard no_grad;
    focal.store.flat().sub_(focal.store.flat_gradient());
  }
  const at::Tensor probabilities = focal.head->class_probabilities(hidden, three_examples());
  CHECK(probabilities[0][1].item<double>() > 0.9);
  CHECK(probabilities[2][0].item<double>() > 0.9);
}

}  // namespace radgpt
