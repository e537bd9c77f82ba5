#include "libradgpt/lora/adapter.h"

#include <torch/types.h>

#include "libradgpt/base/error.h"
#include "tests/base/temporary_folder.h"
#include "tests/catch.h"
#include "tests/device/test_type.h"
#include "tests/lora/adapted_model.h"

namespace radgpt {

TEST_CASE("Adapter: a fresh one changes nothing") {
  const Adapted fresh(all_targets(4));
  CHECK(relative_error(fresh.hidden(), fresh.reference.hidden(kReport)) < test_tolerance());
}

TEST_CASE("Adapter: computes W + scale B A on every target, for both kinds") {
  const auto position = GENERATE(PositionKind::kRope, PositionKind::kAlibi);
  // Scales are powers of two: 4, or 4 * rank / sqrt(rank).
  const auto [rank, rslora] = GENERATE(table<int64_t, bool>({{1, false}, {40, false}, {16, true}}));
  LoraOptions options = all_targets(rank);
  options.rslora = rslora;
  Adapted adapted(options, at::kDouble, position);
  adapted.fill();
  REQUIRE(adapted.reference.pairs.size() == 10);
  CHECK(relative_error(adapted.hidden(), adapted.reference.hidden(kReport)) < 1e-9);
}

TEST_CASE("Adapter: any subset of the targets") {
  const auto target = GENERATE(as<std::string>{}, "W_pack", "q_proj", "k_proj", "v_proj", "o_proj",
                               "gate_proj", "up_proj", "down_proj");
  Adapted adapted({.rank = 3, .alpha = 6, .dropout = 0, .targets = {target}}, at::kDouble);
  adapted.fill();
  REQUIRE(adapted.store.size() == 4);
  REQUIRE(adapted.reference.pairs.size() == 2);
  CHECK(relative_error(adapted.hidden(), adapted.reference.hidden(kReport)) < 1e-9);
}

TEST_CASE("Adapter: off is the base to the bit, on again is the adapter") {
  Adapted adapted(all_targets(4));
  const TemporaryFolder folder;
  adapted.model->save(folder.path());
  const at::Tensor base =
      Baichuan::load(folder.path(), test_type())->forward(single_pack(kReport), {});
  adapted.fill();
  const at::Tensor on = adapted.hidden();
  CHECK_FALSE(at::equal(on, base));
  adapted.adapter->disable();
  CHECK(at::equal(adapted.hidden(), base));
  adapted.adapter->enable();
  CHECK(at::equal(adapted.hidden(), on));
}

TEST_CASE("Adapter: leaves the model as it was when it goes") {
  Adapted adapted(all_targets(4));
  const std::string before = adapted.model->digest();
  adapted.fill();
  adapted.adapter.reset();
  CHECK(adapted.model->digest() == before);
  CHECK(
      relative_error(adapted.hidden(),
                     ReferenceModel{adapted.reference.config, adapted.reference.weights, {}}.hidden(
                         kReport)) < test_tolerance());
}

TEST_CASE("Adapter: A starts uniform in 1/sqrt(in), whatever else is targeted; B at zero") {
  const Adapted all(all_targets(8)), one({.rank = 8, .targets = {"up_proj"}});
  const at::Tensor a = one.store.master(0);
  const double bound = 1 / std::sqrt(static_cast<double>(a.size(1)));
  CHECK(a.abs().max().item<double>() <= bound);
  CHECK(a.abs().max().item<double>() > 0.95 * bound);
  // Deviation of a uniform number: bound / sqrt(3), known to 1/sqrt(2n); 4 of those.
  CHECK(
      a.std().item<double>() ==
      Approx(bound / std::sqrt(3.0)).epsilon(4 / std::sqrt(2.0 * static_cast<double>(a.numel()))));
  for (size_t i = 0; i < all.store.size(); ++i) {
    if (all.store.spec(i).name == one.store.spec(0).name) CHECK(at::equal(all.store.master(i), a));
    const bool is_b = all.store.spec(i).name.find("lora_B") != std::string::npos;
    if (is_b) CHECK(all.store.master(i).abs().max().item<double>() == 0);
  }
  const Adapted reseeded({.rank = 8, .targets = {"up_proj"}}, test_type(), PositionKind::kAlibi, 2);
  CHECK_FALSE(at::equal(reseeded.store.master(0), a));
}

TEST_CASE("Adapter: only targeted weights have a border, as wide as their pairs need") {
  Adapted adapted({.rank = 40, .targets = {"gate_proj", "up_proj", "o_proj"}});
  CHECK(adapted.model->linear(0, LinearKind::kGateUp).border() == 128);
  CHECK(adapted.model->linear(0, LinearKind::kAttentionOutput).border() == 64);
  CHECK(adapted.model->linear(0, LinearKind::kPackedQkv).border() == 0);
  CHECK(adapted.model->linear(0, LinearKind::kDown).border() == 0);
}

TEST_CASE("Adapter: merged weights compute the same") {
  const auto position = GENERATE(PositionKind::kRope, PositionKind::kAlibi);
  Adapted adapted(all_targets(4), at::kDouble, position);
  adapted.fill();
  const at::Tensor before = adapted.hidden();
  adapted.adapter->merge();
  CHECK_FALSE(adapted.adapter->enabled());
  CHECK(relative_error(adapted.hidden(), before) < 1e-6);  // B A is computed in fp32
  const BorderedWeight& linear = adapted.model->linear(1, LinearKind::kGateUp);
  CHECK(linear.storage.narrow(1, linear.in_features, linear.border()).abs().max().item<double>() ==
        0);
}

TEST_CASE("Adapter: merging in bf16 rounds once") {
  Adapted adapted({.rank = 4, .alpha = 8, .dropout = 0, .targets = {"W_pack"}}, at::kBFloat16);
  adapted.fill();
  const at::Tensor weight = adapted.model->linear(0, LinearKind::kPackedQkv).weight().clone();
  const at::Tensor exact =
      weight.to(at::kFloat) + 2 * adapted.store.master(1).mm(adapted.store.master(0));
  adapted.adapter->merge();
  CHECK(at::equal(adapted.model->linear(0, LinearKind::kPackedQkv).weight(),
                  exact.detach().to(at::kBFloat16)));
}

TEST_CASE("Adapter: refuses targets it does not know and ranks out of range") {
  const ModelConfig config = small_config(PositionKind::kRope);
  Baichuan model(config, at::kFloat);
  ParameterStore store;
  CHECK_THROWS_AS(Adapter(model, {.targets = {"qkv_proj"}}, store), Error);
  CHECK_THROWS_AS(Adapter(model, {.targets = {}}, store), Error);
  CHECK_THROWS_AS(Adapter(model, {.rank = 0}, store), Error);
  CHECK_THROWS_AS(Adapter(model, {.rank = 49}, store), Error);
}

TEST_CASE("Adapter: a rank that the GPU's kernels lack is refused before any of them runs") {
  ModelConfig config = small_config(PositionKind::kRope);
  config.hidden_size *= 2;
  Baichuan model(config, test_type());
  ParameterStore store;
  if (test_type() == at::kBFloat16) {
    CHECK_THROWS_WITH(
        Adapter(model, {.rank = 65}, store),
        "adapter: rank must be in [1, 64], got 65 for model.layers.0.self_attn.W_pack");
  } else {
    CHECK_NOTHROW(Adapter(model, {.rank = 65}, store));
  }
}

}  // namespace radgpt
