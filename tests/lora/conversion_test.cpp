#include "libradgpt/lora/conversion.h"

#include <torch/types.h>

#include "libradgpt/base/error.h"
#include "libradgpt/lora/adapter_config.h"
#include "libradgpt/lora/adapter_tensors.h"
#include "tests/catch.h"
#include "tests/lora/adapted_model.h"

namespace radgpt {

namespace {

/// An adapter with numbers, saved.
struct Original {
  TemporaryFolder folder;
  Adapted adapted;
  std::string path = folder.file("original"), other = folder.file("other"),
              again = folder.file("again");

  explicit Original(const LoraOptions& options) : adapted(options, at::kDouble) {
    adapted.fill();
    adapted.adapter->save(path, "base");
  }

  /// Hidden states with the adapter of a folder.
  at::Tensor hidden(const std::string& adapter) {
    adapted.adapter.reset();
    ParameterStore store;
    const auto loaded = load_adapter(*adapted.model, adapter, store);
    return adapted.hidden().detach();
  }

  void expect_same_bytes(const std::string& copy) const {
    for (const char* name : {"/adapter_config.json", "/adapter_model.safetensors"}) {
      CHECK(read_file(copy + name, 1 << 24) == read_file(path + name, 1 << 24));
    }
  }
};

}  // namespace

TEST_CASE("Conversion: W_pack becomes its thirds and W_pack again, byte for byte") {
  LoraOptions options{.rank = 4, .alpha = 8, .dropout = 0, .targets = {"W_pack", "up_proj"}};
  options.rslora = GENERATE(false, true);
  options.dora = GENERATE(false, true);
  Original original(options);
  convert_adapter(original.path, original.other, ProjectionNames::kSplit);
  CHECK(read_adapter_config(original.other).options.targets ==
        std::vector<std::string>{"q_proj", "k_proj", "v_proj", "up_proj"});
  convert_adapter(original.other, original.again, ProjectionNames::kPacked);
  original.expect_same_bytes(original.again);
  const at::Tensor hidden = original.adapted.hidden().detach();
  CHECK(relative_error(original.hidden(original.other), hidden) < 1e-6);
}

TEST_CASE("Conversion: thirds of their own become one pair of W_pack and thirds again") {
  LoraOptions options{
      .rank = 2, .alpha = 4, .dropout = 0, .targets = {"q_proj", "k_proj", "v_proj"}};
  const bool even = GENERATE(true, false);
  options.dora = GENERATE(false, true);
  if (!even) options.rank_pattern = {{"k_proj", 5}};
  Original original(options);
  convert_adapter(original.path, original.other, ProjectionNames::kPacked);
  CHECK(read_adapter_config(original.other).options.rank == (even ? 6 : 9));
  const at::Tensor hidden = original.adapted.hidden().detach();
  convert_adapter(original.other, original.again, ProjectionNames::kSplit);
  if (even) original.expect_same_bytes(original.again);
  CHECK(relative_error(original.hidden(original.other), hidden) < 1e-6);
  CHECK(relative_error(original.hidden(original.again), hidden) < 1e-6);
}

TEST_CASE("Conversion: a missing third is zero, and single modules keep their names") {
  Original original({.rank = 2,
                     .alpha = 4,
                     .dropout = 0,
                     .targets = {"v_proj", "layers.1.self_attn.q_proj", "layers.0.mlp.down_proj"}});
  convert_adapter(original.path, original.other, ProjectionNames::kPacked);
  CHECK(read_adapter_config(original.other).options.targets ==
        std::vector<std::string>{"W_pack", "layers.1.self_attn.W_pack", "layers.0.mlp.down_proj"});
  CHECK(read_adapter_tensors(original.other).base == read_adapter_tensors(original.path).base);
  const at::Tensor hidden = original.adapted.hidden().detach();
  CHECK(relative_error(original.hidden(original.other), hidden) < 1e-6);
}

TEST_CASE("Conversion: refuses what it cannot keep") {
  LoraOptions options{.rank = 2, .alpha = 4, .dropout = 0, .targets = {"q_proj", "v_proj"}};
  options.dora = true;
  const Original some(options);
  CHECK_THROWS_WITH(convert_adapter(some.path, some.other, ProjectionNames::kPacked),
                    Catch::Matchers::ContainsSubstring("got 2 of them") &&
                        Catch::Matchers::ContainsSubstring("adapter_model.safetensors"));
  const Original plain(all_targets(2));
  AdapterTensors tensors = read_adapter_tensors(plain.path);
  const std::string name = "base_model.model.model.layers.1.self_attn.W_pack.lora_B.weight";
  SECTION("a tensor too many") {
    tensors.tensors["base_model.model.lm_head.weight"] = at::ones({3, 3});
    write_adapter_tensors(plain.path, tensors.tensors, "");
    CHECK_THROWS_WITH(convert_adapter(plain.path, plain.other, ProjectionNames::kSplit),
                      Catch::Matchers::ContainsSubstring("lm_head"));
  }
  SECTION("a tensor too few") {
    tensors.tensors.erase(name);
    write_adapter_tensors(plain.path, tensors.tensors, "");
    CHECK_THROWS_WITH(convert_adapter(plain.path, plain.other, ProjectionNames::kSplit),
                      Catch::Matchers::ContainsSubstring("lacks " + name));
  }
  SECTION("rows that are no thirds") {
    tensors.tensors[name] = at::ones({121, 2});
    write_adapter_tensors(plain.path, tensors.tensors, "");
    CHECK_THROWS_WITH(convert_adapter(plain.path, plain.other, ProjectionNames::kSplit),
                      Catch::Matchers::ContainsSubstring("121"));
  }
  SECTION("lengths that are not those of B") {
    LoraOptions whole = all_targets(2);
    whole.dora = true;
    const Original lengths(whole);
    AdapterTensors other = read_adapter_tensors(lengths.path);
    other.tensors["base_model.model.model.layers.0.self_attn.W_pack.lora_magnitude_vector"] =
        at::ones({1});
    write_adapter_tensors(lengths.path, other.tensors, "");
    CHECK_THROWS_WITH(convert_adapter(lengths.path, lengths.other, ProjectionNames::kSplit),
                      Catch::Matchers::ContainsSubstring("must have 120 values, got 1"));
  }
  SECTION("no layer at all") {
    AdapterConfig config = read_adapter_config(plain.path);
    config.heads = {"classifier"};
    config.options.targets = {"all-linear"};
    write_adapter_config(plain.path, config);
    write_adapter_tensors(plain.path, {{"base_model.model.classifier.weight", at::ones({2, 2})}},
                          "");
    CHECK_THROWS_AS(convert_adapter(plain.path, plain.other, ProjectionNames::kSplit), Error);
  }
  SECTION("a layer that is no number") {
    tensors.tensors["base_model.model.model.layers.x.mlp"] = at::ones({1});
    write_adapter_tensors(plain.path, tensors.tensors, "");
    CHECK_THROWS_AS(convert_adapter(plain.path, plain.other, ProjectionNames::kSplit), Error);
  }
}

}  // namespace radgpt
