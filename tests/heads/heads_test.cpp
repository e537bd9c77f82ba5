#include <torch/types.h>

#include <cmath>

#include "libradgpt/base/error.h"
#include "libradgpt/heads/causal_lm.h"
#include "libradgpt/heads/classifier.h"
#include "tests/catch.h"
#include "tests/device/test_type.h"
#include "tests/model/reference_model.h"
#include "tests/model/small_packs.h"

namespace radgpt {

namespace {

const Baichuan& model() {
  static Baichuan one(small_config(PositionKind::kAlibi), test_type());
  static const bool filled = [] {
    one.initialise(3);
    return true;
  }();
  static_cast<void>(filled);
  return one;
}

at::Tensor random_hidden(int64_t rows) { return at::randn({rows, 40}).to(test_type()); }

// Two examples in one pack: classes 2 and none, read at rows 3 and 5.
Pack classified_pack() {
  Pack pack = single_pack({195, 3, 4, 196});
  add_segment(pack, {195, 196});
  pack.examples = {{.example = 1, .answer_row = 3}, {.example = 0, .answer_row = 5}};
  return pack;
}

HeadContext three_classes() {
  return {.model = model(), .example_classes = {-1, 2}, .classes = 3, .seed = 9};
}

struct BoundClassifier {
  ParameterStore store;
  ClassifierHead head;

  explicit BoundClassifier(const HeadContext& context) : head(context) {
    head.add_parameters(store);
    store.allocate();
    head.bind_parameters(store);
  }
};

}  // namespace

TEST_CASE("Causal LM head: the loss is the mean over target rows alone") {
  Pack pack = single_pack({195, 3, 4, 196, 7});
  set_targets(pack, 3, {7, 2});
  const at::Tensor hidden = random_hidden(5).set_requires_grad(true);
  const CausalLmHead head({.model = model()});
  REQUIRE(head.terms(pack) == 2);
  const HeadOutput output = head.forward(hidden, pack, 2);
  output.loss.backward();

  const at::Tensor plain = hidden.detach().to(at::kDouble).set_requires_grad(true);
  const at::Tensor logits = plain.mm(model().head().normalised.to(at::kDouble).t()).narrow(0, 3, 2);
  const at::Tensor expected = at::cross_entropy_loss(logits, at::tensor({7, 2}, at::kLong));
  expected.backward();
  CHECK(output.loss.item<double>() == Approx(expected.item<double>()).epsilon(test_tolerance()));
  CHECK(output.loss_sum == Approx(2 * expected.item<double>()).epsilon(test_tolerance()));
  CHECK(output.terms == 2);
  CHECK(relative_error(hidden.grad(), plain.grad()) < test_tolerance());
  CHECK(hidden.grad().narrow(0, 0, 3).abs().max().item<double>() == 0);
}

TEST_CASE("Causal LM head: targets count by their weights, and so does the divisor") {
  Pack pack = single_pack({195, 3, 4, 196, 7});
  set_targets(pack, 3, {7, 2});
  const at::Tensor hidden = random_hidden(5);
  const CausalLmHead head({.model = model()});
  CHECK(head.weight(pack) == 2);
  const double both = head.forward(hidden, pack, 1).loss_sum;
  pack.target_weights = {1, 4};
  CHECK(head.weight(pack) == 5);
  const double weighted = head.forward(hidden, pack, 1).loss_sum;
  pack.target_weights = {1, 0};
  const double first = head.forward(hidden, pack, 1).loss_sum;
  CHECK(weighted == Approx(first + 4 * (both - first)).epsilon(1e-5));
  CHECK(head.terms(pack) == 2);
}

TEST_CASE("Causal LM head: a pack without targets has a loss of 0 with gradients of 0") {
  const CausalLmHead head({.model = model()});
  const at::Tensor hidden = random_hidden(2).set_requires_grad(true);
  const HeadOutput output = head.forward(hidden, single_pack({195, 3}), 1);
  output.loss.backward();
  CHECK(output.terms == 0);
  CHECK(output.loss.item<double>() == 0);
  CHECK(hidden.grad().abs().max().item<double>() == 0);
}

TEST_CASE("Heads: the rows they read give what the whole pack gives") {
  BoundClassifier bound(three_classes());
  const CausalLmHead causal({.model = model()});
  Pack pack = classified_pack();
  set_targets(pack, 3, {7});
  const at::Tensor hidden = random_hidden(6);
  CHECK(causal.rows(pack) == Tokens{3});
  CHECK(bound.head.rows(pack) == Tokens{3, 5});
  for (const Head* head :
       {static_cast<const Head*>(&causal), static_cast<const Head*>(&bound.head)}) {
    const at::Tensor read = hidden.index_select(0, at::tensor(head->rows(pack)));
    const HeadOutput some = head->forward(read, pack, 1), all = head->forward(hidden, pack, 1);
    CHECK(at::equal(some.loss, all.loss));
  }
  CHECK_THROWS_AS(causal.forward(hidden.narrow(0, 0, 4), pack, 1), Error);
}

TEST_CASE("Classifier: the loss is the weighted cross-entropy of examples with a class") {
  HeadContext context = three_classes();
  context.class_weights = {1, 1, 4};
  BoundClassifier bound(context);
  const Pack pack = classified_pack();
  REQUIRE(bound.head.terms(pack) == 1);
  const at::Tensor hidden = at::randn({6, 40}).set_requires_grad(true);
  const HeadOutput output = bound.head.forward(hidden, pack, 5);
  output.loss.backward();

  const at::Tensor weight = bound.store.master(0).detach().clone().set_requires_grad(true);
  const at::Tensor logits = weight.mv(hidden.detach()[3]);
  const at::Tensor expected = -4 * at::log_softmax(logits, 0)[2];
  (expected / 5).backward();
  CHECK(output.terms == 1);
  CHECK(output.loss_sum == Approx(expected.item<double>()).epsilon(1e-6));
  CHECK(output.loss.item<double>() == Approx(expected.item<double>() / 5).epsilon(1e-6));
  CHECK(relative_error(bound.store.gradient(0), weight.grad()) < 1e-5);
  CHECK(hidden.grad()[3].abs().max().item<double>() > 0);
  CHECK(hidden.grad()[5].abs().max().item<double>() == 0);
}

TEST_CASE("Classifier: probabilities come for every example, with a class or without") {
  BoundClassifier bound(three_classes());
  const at::Tensor hidden = at::randn({6, 40});
  const at::Tensor probabilities = bound.head.class_probabilities(hidden, classified_pack());
  const at::Tensor rows = at::stack({hidden[3], hidden[5]});
  const at::Tensor expected = at::softmax(rows.mm(bound.store.master(0).detach().t()), 1);
  CHECK(relative_error(probabilities, expected) < 1e-6);
}

TEST_CASE("Classifier: its parameter has PEFT's kind of name and starts from the seed") {
  const BoundClassifier first(three_classes()), same(three_classes());
  CHECK(first.store.spec(0).name == "base_model.model.classifier.weight");
  CHECK(first.store.spec(0).shape == std::vector<int64_t>{3, 40});
  CHECK(at::equal(first.store.flat(), same.store.flat()));
  const double deviation = first.store.flat().std().item<double>();
  CHECK(deviation == Approx(0.02).epsilon(4 / std::sqrt(2.0 * 120)));
}

TEST_CASE("Classifier: bf16 hidden states meet fp32 weights") {
  BoundClassifier bound(three_classes());
  const at::Tensor hidden = at::randn({6, 40}).to(at::kBFloat16).set_requires_grad(true);
  const HeadOutput output = bound.head.forward(hidden, classified_pack(), 1);
  CHECK(output.loss.scalar_type() == at::kFloat);
  output.loss.backward();
  CHECK(hidden.grad().scalar_type() == at::kBFloat16);
}

TEST_CASE("Classifier: refuses contexts that do not fit together") {
  HeadContext context = three_classes();
  SECTION("one class") { context.classes = 1; }
  SECTION("a class out of range") { context.example_classes = {3}; }
  SECTION("weights for other classes") { context.class_weights = {1, 2}; }
  SECTION("a weight of zero") { context.class_weights = {1, 0, 1}; }
  CHECK_THROWS_AS(ClassifierHead(context), Error);
}

TEST_CASE("Heads: an unknown name lists the known ones") {
  CHECK_THROWS_WITH(make_head("causallm", {.model = model()}),
                    Catch::Matchers::ContainsSubstring("causal_lm, classifier") &&
                        Catch::Matchers::ContainsSubstring("got causallm"));
  CHECK(make_head("causal_lm", {.model = model()}) != nullptr);
}

TEST_CASE("Heads: a name is registered once") {
  CHECK_THROWS_AS(register_head("classifier", {}), Error);
}

}  // namespace radgpt
