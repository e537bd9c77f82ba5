#include <torch/types.h>

#include <map>
#include <string>

#include "libradgpt/ops/head_cross_entropy.h"
#include "tests/catch.h"
#include "tests/device/test_type.h"
#include "tests/lora/adapted_model.h"

namespace radgpt {

namespace {

const Tokens kQuestion = {5, 31, 12, 196, 77, 201};
const Tokens kOther = {5, 8, 196, 140};
const Tokens kTargets = {31, 12, 196, 77, 201, 2};
const Tokens kOtherTargets = {8, 196, 140, 2};

// A report and two branches with a target at each of their rows.
Pack shared_pack() {
  Pack pack;
  const Segment report = add_segment(pack, kReport);
  set_targets(pack, add_segment(pack, kQuestion, report).begin, kTargets);
  set_targets(pack, add_segment(pack, kOther, report).begin, kOtherTargets);
  return pack;
}

// The same two examples, each alone.
std::vector<Pack> separate_packs() {
  std::vector<Pack> packs = {single_pack(joined(kReport, kQuestion)),
                             single_pack(joined(kReport, kOther))};
  const auto report = static_cast<int64_t>(kReport.size());
  set_targets(packs[0], report, kTargets);
  set_targets(packs[1], report, kOtherTargets);
  return packs;
}

at::Tensor loss(const Adapted& adapted, const Pack& pack, const DropoutKey& key = {}) {
  const at::Tensor hidden = adapted.model->forward(pack, key, pack.target_rows);
  return head_cross_entropy(hidden, adapted.model->head(), at::tensor(pack.targets, at::kLong), 10);
}

at::Tensor reference_loss(const ReferenceModel& reference) {
  at::Tensor sum = at::zeros({}, at::kDouble);
  for (const Pack& pack : separate_packs()) {
    const at::Tensor logits =
        reference.logits(pack.tokens).index_select(0, at::tensor(pack.target_rows, at::kLong));
    sum = sum + at::cross_entropy_loss(logits, at::tensor(pack.targets, at::kLong), {},
                                       at::Reduction::Sum);
  }
  return sum / 10;
}

at::Tensor reference_gradient(const ReferenceModel& reference, const std::string& parameter) {
  const std::string name = parameter.substr(std::string("base_model.model.").size());
  const size_t end = name.find(".lora_");
  const ReferencePair& pair = reference.pairs.at(name.substr(0, end));
  if (name[end + 6] == 'm') return pair.magnitude.grad();
  return (name[end + 6] == 'A' ? pair.a : pair.b).grad();
}

// Leaves in double, so that gradients are not rounded to the masters' fp32.
std::vector<at::Tensor> double_leaves(Adapted& adapted) {
  std::vector<at::Tensor> leaves;
  const auto replace = [&](at::Tensor& master) {
    master = master.detach().to(at::kDouble).set_requires_grad(true);
    leaves.push_back(master);
  };
  for (int layer = 0; layer < adapted.model->layers(); ++layer) {
    for (const LinearKind kind : {LinearKind::kPackedQkv, LinearKind::kAttentionOutput,
                                  LinearKind::kGateUp, LinearKind::kDown}) {
      for (LoraPair& pair : adapted.model->linear(layer, kind).pairs) {
        replace(pair.a_master);
        replace(pair.b_master);
      }
    }
  }
  return leaves;
}

// Gradients of a fixed linear function of the hidden states at the targets.
std::vector<at::Tensor> gradients(const Adapted& adapted, const std::vector<at::Tensor>& leaves,
                                  const std::vector<Pack>& packs) {
  at::Tensor sum = at::zeros({}, at::kDouble);
  for (const Pack& pack : packs) {
    const at::Tensor hidden = adapted.model->forward(pack, {}, pack.target_rows);
    const at::Tensor rows = at::tensor(pack.targets, at::kLong);
    sum = sum + (hidden * adapted.model->head().normalised.index_select(0, rows)).sum();
  }
  return torch::autograd::grad({sum}, leaves);
}

}  // namespace

namespace {

// How far loss and gradients of a shared pack are from those of the plain model, by name.
std::map<std::string, double> errors(const LoraOptions& options, at::ScalarType type,
                                     PositionKind position) {
  Adapted adapted(options, type, position);
  adapted.fill();
  const at::Tensor expected = reference_loss(adapted.reference);
  expected.backward();
  const at::Tensor got = loss(adapted, shared_pack());
  got.backward();
  std::map<std::string, double> result = {{"loss", relative_error(got, expected)}};
  for (size_t i = 0; i < adapted.store.size(); ++i) {
    const std::string& name = adapted.store.spec(i).name;
    result[name] =
        relative_error(adapted.store.gradient(i), reference_gradient(adapted.reference, name));
  }
  return result;
}

}  // namespace

TEST_CASE("Adapter: gradients of a shared pack are those of the plain model on each example") {
  const auto position = GENERATE(PositionKind::kRope, PositionKind::kAlibi);
  LoraOptions options = all_targets(4);
  options.dora = GENERATE(false, true);
  if (options.dora) options.targets = {"q_proj", "v_proj", "o_proj", "up_proj", "down_proj"};
  for (const auto& [name, error] : errors(options, at::kFloat, position)) {
    INFO(name);
    CHECK(error < 1e-5);
  }
}

// Two layers of random weights carry roundings of bf16 far: so does the CPU's path.
TEST_CASE("Adapter: gradients in bf16 are as near to double precision as the CPU's") {
  const auto position = GENERATE(PositionKind::kRope, PositionKind::kAlibi);
  LoraOptions options = all_targets(4);
  options.dora = GENERATE(false, true);
  const auto here = errors(options, at::kBFloat16, position);
  const CpuKernels cpu;
  for (const auto& [name, error] : errors(options, at::kBFloat16, position)) {
    INFO(name);
    CHECK(here.at(name) <= 2 * error + 0x1p-8);
  }
}

TEST_CASE("Adapter: gradients of shared and plain packs are the sum over the examples, in double") {
  const auto position = GENERATE(PositionKind::kRope, PositionKind::kAlibi);
  Adapted adapted(all_targets(4), at::kDouble, position);
  adapted.fill();
  const std::vector<at::Tensor> leaves = double_leaves(adapted);
  const std::vector<at::Tensor> expected = gradients(adapted, leaves, separate_packs());

  const std::vector<at::Tensor> shared = gradients(adapted, leaves, {shared_pack()});
  Pack plain;
  for (const Pack& one : separate_packs()) {
    const int64_t begin = add_segment(plain, one.tokens).begin;
    set_targets(plain, begin + one.target_rows.front(), one.targets);
  }
  const std::vector<at::Tensor> packed = gradients(adapted, leaves, {plain});
  REQUIRE(expected.size() == 20);
  for (size_t i = 0; i < expected.size(); ++i) {
    CHECK(relative_error(shared[i], expected[i]) < 1e-9);
    CHECK(relative_error(packed[i], expected[i]) < 1e-9);
  }
}

TEST_CASE("Adapter: dropout is a function of seed, step and pack") {
  LoraOptions options = all_targets(4);
  options.dropout = 0.5;
  Adapted adapted(options);
  adapted.fill();
  const auto loss_at = [&](const DropoutKey& key) {
    return loss(adapted, shared_pack(), key).item<double>();
  };
  const double some = loss_at({.seed = 1, .step = 2, .pack = 3, .active = true});
  CHECK(loss_at({.seed = 1, .step = 2, .pack = 3, .active = true}) == some);
  CHECK(loss_at({.seed = 2, .step = 2, .pack = 3, .active = true}) != some);
  CHECK(loss_at({.seed = 1, .step = 3, .pack = 3, .active = true}) != some);
  CHECK(loss_at({.seed = 1, .step = 2, .pack = 4, .active = true}) != some);
  CHECK(loss_at({.active = false}) == loss_at({}));
}

}  // namespace radgpt
