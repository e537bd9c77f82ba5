#include <torch/types.h>

#include "libradgpt/model/baichuan.h"
#include "libradgpt/ops/head_cross_entropy.h"
#include "tests/base/temporary_folder.h"
#include "tests/catch.h"
#include "tests/device/test_type.h"
#include "tests/model/reference_model.h"
#include "tests/model/small_packs.h"

namespace radgpt {

namespace {

const Tokens kTokens = {195, 17, 42, 105, 3, 196, 77, 12};
const Tokens kTargets = {17, 42, 105, 3, 196, 77, 12, 2};

struct Training {
  ParameterStore store;
  std::unique_ptr<Baichuan> model;
  ReferenceModel reference;

  explicit Training(PositionKind position) {
    const TemporaryFolder folder;
    const ModelConfig config = small_config(position);
    reference = {config, random_weights(config), {}};
    write_model_folder(folder.path(), config, reference.weights);
    model = Baichuan::load(folder.path(), test_type());
    model->add_parameters(store);
    store.allocate();
    model->bind_parameters(store);
    store.publish();
  }

  at::Tensor loss() const {
    const at::Tensor hidden = model->forward(single_pack(kTokens), {});
    return head_cross_entropy(hidden, model->head(), at::tensor(kTargets, at::kLong), 1.0);
  }

  at::Tensor reference_loss() const {
    return at::cross_entropy_loss(reference.logits(kTokens), at::tensor(kTargets, at::kLong), {},
                                  at::Reduction::Sum);
  }

  at::Tensor reference_gradient(const std::string& name) const {
    const std::string stacked = "gate_up_proj";
    const size_t place = name.find(stacked);
    if (place == std::string::npos) return reference.weights.at(name).grad();
    std::string gate = name, up = name;
    gate.replace(place, stacked.size(), "gate_proj");
    up.replace(place, stacked.size(), "up_proj");
    return at::cat({reference.weights.at(gate).grad(), reference.weights.at(up).grad()});
  }
};

}  // namespace

TEST_CASE("Baichuan: full-parameter gradients are those of the plain formulas, head included") {
  Training training(GENERATE(PositionKind::kRope, PositionKind::kAlibi));
  for (auto& [name, weight] : training.reference.weights) weight.set_requires_grad(true);
  const at::Tensor expected = training.reference_loss();
  expected.backward();
  const at::Tensor loss = training.loss();
  loss.backward();
  CHECK(loss.item<double>() == Approx(expected.item<double>()).epsilon(test_tolerance()));
  REQUIRE(training.store.size() == 3 + 2 * 6);
  for (size_t i = 0; i < training.store.size(); ++i) {
    const std::string& name = training.store.spec(i).name;
    INFO(name);
    CHECK(relative_error(training.store.gradient(i), training.reference_gradient(name)) <
          test_tolerance());
  }
}

TEST_CASE("Baichuan: the weights follow the masters after publish") {
  Training training(PositionKind::kRope);
  const double before = training.loss().item<double>();
  training.loss().backward();
  {
    const at::NoGradGuard no_grad;
    training.store.flat().sub_(training.store.flat_gradient() * 1e-3);
  }
  training.store.publish();
  const double after = training.loss().item<double>();
  CHECK(after < before);

  // The copies alone give the same as the masters: what is saved is what was trained.
  const TemporaryFolder folder;
  training.model->save(folder.path());
  const auto saved = Baichuan::load(folder.path(), test_type());
  const at::Tensor hidden = saved->forward(single_pack(kTokens), {});
  const at::Tensor loss =
      head_cross_entropy(hidden, saved->head(), at::tensor(kTargets, at::kLong), 1.0);
  CHECK(loss.item<double>() == Approx(after).epsilon(1e-6));
}

TEST_CASE("Baichuan: the masters of the head keep the length of its rows") {
  const Training training(PositionKind::kAlibi);
  const size_t head = training.store.size() - 1;
  REQUIRE(training.store.spec(head).name == "lm_head.weight");
  const at::Tensor& raw = training.reference.weights.at("lm_head.weight");
  CHECK(relative_error(training.store.master(head), raw) < test_tolerance());
}

}  // namespace radgpt
