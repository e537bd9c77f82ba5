#include <torch/types.h>

#include <cmath>

#include "libradgpt/base/error.h"
#include "libradgpt/lora/adapter_config.h"
#include "libradgpt/lora/row_norms.h"
#include "tests/catch.h"
#include "tests/lora/adapted_model.h"

namespace radgpt {

namespace {

/// Options of every kind that files can hold.
LoraOptions varied(int kind) {
  LoraOptions options{.rank = 4, .alpha = 8, .dropout = 0.25, .targets = {"all-linear"}};
  switch (kind) {
    case 0:
      options.rank_pattern = {{"W_pack", 3}, {"layers.1.mlp.up_proj", 7}};
      options.alpha_pattern = {{"gate_proj", 2.5}, {"^model.layers.0.mlp.up_proj", 32}};
      break;
    case 1:
      options.targets = {"v_proj", "o_proj", "q_proj", "layers.1.mlp.down_proj"};
      options.dora = true;
      break;
    case 2:
      options.rslora = true;
      options.layers = {1};
      options.targets = {"k_proj", "up_proj"};
      break;
    default:
      options.dora = true;
      options.rslora = true;
      options.rank_pattern = {{"q_proj", 1}, {"v_proj", 6}};
      options.targets = {"q_proj", "k_proj", "v_proj"};
  }
  return options;
}

LoraOptions dora() {
  LoraOptions options = all_targets(4);
  options.dora = true;
  return options;
}

Baichuan& fresh_model() {
  static Baichuan model(small_config(PositionKind::kRope), at::kFloat);
  model.initialise(3);
  return model;
}

}  // namespace

TEST_CASE("Adapter variants: compute what the plain model does with the same pairs") {
  const auto position = GENERATE(PositionKind::kRope, PositionKind::kAlibi);
  for (int kind = 0; kind < 4; ++kind) {
    INFO("kind " << kind);
    Adapted adapted(varied(kind), at::kDouble, position);
    adapted.fill();

    // Scaled copies and norms of rows are made in fp32.
    CHECK(relative_error(adapted.hidden(), adapted.reference.hidden(kReport)) < 1e-6);
  }
}

TEST_CASE("Adapter variants: files give the same adapter and the same bytes again") {
  for (int kind = 0; kind < 4; ++kind) {
    INFO("kind " << kind);
    Adapted adapted(varied(kind));
    adapted.fill();
    const TemporaryFolder folder, again;
    adapted.adapter->save(folder.path(), "bases/one");
    const at::Tensor hidden = adapted.hidden();
    adapted.adapter.reset();
    ParameterStore store;
    const auto loaded = load_adapter(*adapted.model, folder.path(), store);
    CHECK(at::equal(adapted.hidden(), hidden));
    loaded->save(again.path(), "bases/one");
    for (const char* name : {"adapter_config.json", "adapter_model.safetensors"}) {
      CHECK(again.read(name) == folder.read(name));
    }
  }
}

TEST_CASE("Adapter variants: the number of pairs and their ranks are those of the patterns") {
  const auto modules = find_lora_modules(varied(0), 2, 48);
  REQUIRE(modules.size() == 10);
  const auto rank_of = [&](const std::string& name) {
    for (const LoraModule& module : modules) {
      if (module_name(module) == "model.layers." + name) return module.rank;
    }
    return int64_t{0};
  };
  CHECK(rank_of("0.self_attn.W_pack") == 3);
  CHECK(rank_of("0.mlp.up_proj") == 4);
  CHECK(rank_of("1.mlp.up_proj") == 7);
  CHECK(find_lora_modules(varied(1), 2, 48).size() == 7);
  CHECK(find_lora_modules(varied(2), 2, 48).size() == 2);
}

TEST_CASE("Adapter variants: every module has a number of its own") {
  std::set<uint32_t> numbers;
  for (const char* packed : {"W_pack", "q_proj"}) {
    LoraOptions options{.targets = {packed, "o_proj"}};
    if (options.targets[0] == "q_proj") options.targets = {"q_proj", "k_proj", "v_proj"};
    for (const LoraModule& module : find_lora_modules(options, 256, 48)) {
      CHECK(numbers.insert(module_number(module)).second);
    }
  }
}

TEST_CASE("DoRA: a fresh adapter changes nothing, to the bit") {
  const Adapted adapted(dora()), plain(all_targets(4));
  CHECK(at::equal(adapted.hidden(), plain.hidden()));
}

TEST_CASE("DoRA: norms of rows follow every publish") {
  Adapted adapted(dora());
  adapted.fill();
  const LoraPair& pair = adapted.adapter->pairs()[0];
  const at::Tensor weight = adapted.model->linear(0, LinearKind::kPackedQkv).weight();
  const at::Tensor exact =
      (weight.to(at::kDouble) +
       pair.scale * pair.b_master.to(at::kDouble).mm(pair.a_master.to(at::kDouble)))
          .norm(2, {1});
  CHECK(relative_error(pair.row_norms, exact) < 1e-6);
}

TEST_CASE("DoRA: norms have the same bits on one thread and two") {
  const at::Tensor weight = at::randn({1300, 96}).to(at::kBFloat16);
  const LoraPair pair{
      .a = {}, .a_master = at::randn({8, 96}), .b_master = at::randn({1300, 8}), .scale = 2};
  const int before = at::get_num_threads();
  std::vector<at::Tensor> norms;
  for (const int threads : {1, 2}) {
    at::set_num_threads(threads);
    norms.push_back(at::empty({1300}));
    write_row_norms(weight, pair, norms.back());
  }
  at::set_num_threads(before);
  CHECK(at::equal(norms[0], norms[1]));
}

TEST_CASE("DoRA: merged weights compute the same") {
  Adapted adapted(dora(), at::kDouble);
  adapted.fill();
  const at::Tensor before = adapted.hidden();
  adapted.adapter->merge();
  CHECK(relative_error(adapted.hidden(), before) < 1e-6);
}

TEST_CASE("PiSSA: starts with the base as it was, of which the adapter holds the largest part") {
  LoraOptions options = all_targets(4);
  const Adapted plain(options, at::kDouble);
  options.start = LoraStart::kPissa;
  Adapted adapted(options, at::kDouble);
  CHECK(relative_error(adapted.hidden(), plain.hidden()) < 1e-6);  // singular vectors are fp32
  for (size_t i = 0; i < adapted.adapter->pairs().size(); ++i) {
    const LoraPair& pair = adapted.adapter->pairs()[i];
    const LoraModule& module = adapted.adapter->modules()[i];
    const at::Tensor whole = plain.model->linear(module.layer, module.target->kind)
                                 .weight()
                                 .narrow(0, pair.row_begin, pair.row_end - pair.row_begin);
    const at::Tensor values = std::get<1>(at::linalg_svd(whole, false));
    const at::Tensor part = pair.scale * pair.b_master.mm(pair.a_master);
    // Nothing of that rank is nearer to the weight: the rest is the norm of the values behind.
    const double best = values.narrow(0, 4, values.size(0) - 4).norm().item<double>();
    CHECK((whole - part).norm().item<double>() < 1.02 * best);
    CHECK(relative_error(pair.a_master.norm(2, {1}), pair.b_master.norm(2, {0})) < 1e-4);
  }
}

TEST_CASE("PiSSA: is saved as a plain adapter for the base as it was") {
  LoraOptions options{.rank = 3, .alpha = 6, .dropout = 0, .targets = {"all"}};
  options.rslora = GENERATE(false, true);
  options.dora = GENERATE(false, true);
  options.rank_pattern = {{"up_proj", 5}};
  options.alpha_pattern = {{"down_proj", 4}};
  Adapted base(options);
  options.start = LoraStart::kPissa;
  Adapted adapted(options);
  const TemporaryFolder folder;
  at::manual_seed(5);
  for (size_t i = 0; i < adapted.store.size(); ++i) {
    const at::Tensor master = adapted.store.master(i).detach();
    master.add_(0.1 * at::randn_like(master));
  }
  adapted.store.publish();
  adapted.adapter->save(folder.path(), "base");
  ParameterStore store;
  base.adapter.reset();
  const auto loaded = load_adapter(*base.model, folder.path(), store);
  CHECK(loaded->options().rank == 6);
  CHECK(loaded->options().rank_pattern.at("up_proj") == 10);
  CHECK(relative_error(base.hidden(), adapted.hidden()) < 5 * test_tolerance());
}

TEST_CASE("PiSSA: the start has the same bits on one thread and two, of a single module too") {
  LoraOptions options = GENERATE(all_targets(4), LoraOptions{.rank = 4, .layers = {1}});
  options.start = LoraStart::kPissa;
  const int before = at::get_num_threads();
  std::vector<at::Tensor> masters;
  for (const int threads : {1, 2}) {
    at::set_num_threads(threads);
    const Adapted adapted(options);
    masters.push_back(adapted.store.flat().clone());
  }
  at::set_num_threads(before);
  CHECK(at::equal(masters[0], masters[1]));
}

TEST_CASE("PiSSA: a rank whose double would not load is refused before the base changes") {
  LoraOptions options{.rank = 25, .targets = {"W_pack"}};
  options.start = LoraStart::kPissa;
  ParameterStore store;
  CHECK_THROWS_WITH(Adapter(fresh_model(), options, store),
                    Catch::Matchers::ContainsSubstring("rank must be in [1, 24], got 25"));
}

TEST_CASE("PiSSA: another adapter is noticed before the base changes") {
  Baichuan& model = fresh_model();
  ParameterStore plain_numbers, numbers;
  Adapter plain(model, {.rank = 2, .targets = {"down_proj"}}, plain_numbers);
  plain_numbers.allocate();
  plain.attach(1);
  const std::string before = model.digest();
  LoraOptions options{.rank = 2, .targets = {"W_pack"}};
  options.start = LoraStart::kPissa;
  Adapter adapter(model, options, numbers);
  numbers.allocate();
  CHECK_THROWS_AS(adapter.attach(1), Error);
  CHECK(model.digest() == before);
}

TEST_CASE("PiSSA: what is merged first is saved as the same adapter") {
  LoraOptions options{.rank = 3, .alpha = 6, .targets = {"o_proj"}};
  options.start = LoraStart::kPissa;
  Adapted adapted(options);
  const TemporaryFolder first, second;
  adapted.adapter->save(first.path(), "base");
  adapted.adapter->merge();
  adapted.adapter->save(second.path(), "base");
  CHECK(first.read("adapter_model.safetensors") == second.read("adapter_model.safetensors"));
}

TEST_CASE("LoRA+: B alone learns faster") {
  ParameterStore store;
  const Adapter adapter(fresh_model(), {.targets = {"o_proj"}, .loraplus_ratio = 16}, store);
  for (size_t i = 0; i < store.size(); ++i) {
    const bool is_b = store.spec(i).name.find("lora_B") != std::string::npos;
    CHECK(store.spec(i).rate_ratio == (is_b ? 16.0 : 1.0));
  }
}

TEST_CASE("Adapter: of two on a model, one is enabled at a time") {
  Baichuan& model = fresh_model();
  const Pack pack = single_pack(kReport);
  const at::Tensor base = model.forward(pack, {});
  const auto fill = [](ParameterStore& store, uint64_t seed) {
    at::manual_seed(seed);
    store.flat().copy_(0.3 * at::randn_like(store.flat()));
    store.publish();
  };
  ParameterStore wide_numbers, narrow_numbers;
  Adapter narrow(model, {.rank = 2, .targets = {"gate_proj"}}, narrow_numbers);
  narrow_numbers.allocate();
  narrow.attach(1);
  fill(narrow_numbers, 1);
  const at::Tensor with_narrow = model.forward(pack, {});
  Adapter wide(model, {.rank = 40, .targets = {"up_proj", "gate_proj", "W_pack"}}, wide_numbers);
  wide_numbers.allocate();
  CHECK_THROWS_AS(wide.attach(1), Error);
  narrow.disable();
  wide.attach(1);
  fill(wide_numbers, 2);
  const at::Tensor with_wide = model.forward(pack, {});
  CHECK_FALSE(at::equal(with_wide, with_narrow));
  // What is published while an adapter is off does not reach the model.
  wide.disable();
  wide_numbers.publish();
  CHECK(at::equal(model.forward(pack, {}), base));
  narrow.enable();
  CHECK(at::equal(model.forward(pack, {}), with_narrow));
  narrow.disable();
  wide.enable();
  CHECK(at::equal(model.forward(pack, {}), with_wide));
}

}  // namespace radgpt
