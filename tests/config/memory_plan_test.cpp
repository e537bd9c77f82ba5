#include "libradgpt/config/memory_plan.h"

#include <algorithm>

#include "tests/catch.h"

namespace radgpt {
namespace {

ModelConfig baichuan2_7b() { return {}; }

ModelConfig baichuan2_13b() {
  ModelConfig model;
  model.hidden_size = 5120;
  model.intermediate_size = 13696;
  model.num_hidden_layers = 40;
  model.num_attention_heads = 40;
  return model;
}

/// h = 4, f = 8, L = 2, V = 10.
ModelConfig tiny() {
  ModelConfig model;
  model.vocab_size = 10;
  model.hidden_size = 4;
  model.intermediate_size = 8;
  model.num_hidden_layers = 2;
  model.num_attention_heads = 2;
  return model;
}

Recipe adapter(int64_t rank, const std::vector<std::string>& targets) {
  Recipe recipe;
  recipe.lora.rank = rank;
  recipe.lora.targets = targets;
  return recipe;
}

TEST_CASE("Memory plan: trained parameters are those published for Baichuan2") {
  CHECK(trained_parameters(adapter(8, {"W_pack"}), baichuan2_7b()) == 4194304);
  CHECK(trained_parameters(adapter(1, {"W_pack"}), baichuan2_7b()) == 524288);
  CHECK(trained_parameters(adapter(8, {"W_pack"}), baichuan2_13b()) == 6553600);
  CHECK(trained_parameters(adapter(8, {"all"}), baichuan2_7b()) == 17891328);
  CHECK(trained_parameters(adapter(8, {"W_pack", "o_proj", "gate_proj", "up_proj", "down_proj"}),
                           baichuan2_13b()) == 27893760);
  // Three A of 8 x 4096 and three B of 4096 x 8 a layer; with DoRA 4096 lengths each.
  CHECK(trained_parameters(adapter(8, {"q_proj", "k_proj", "v_proj"}), baichuan2_7b()) == 6291456);
  Recipe dora = adapter(8, {"q_proj", "v_proj"});
  dora.lora.dora = true;
  CHECK(trained_parameters(dora, baichuan2_7b()) == 32 * 2 * (8 * 8192 + 4096));
  Recipe full;
  full.train.parameters = ParametersChoice::kFull;
  CHECK(trained_parameters(full, baichuan2_7b()) == 7505973248);
}

int64_t bytes_of(const std::vector<MemoryRow>& rows, const std::string& what) {
  for (const MemoryRow& row : rows) {
    if (row.what == what) return row.bytes;
  }
  return -1;
}

TEST_CASE("Memory plan: each row is its product") {
  Recipe recipe = adapter(2, {"gate_proj", "up_proj"});
  recipe.train.pack_tokens = 100;
  recipe.train.packs_per_step = 4;
  const auto rows = training_memory(recipe, tiny(), DataType::kBF16);
  // 2 embeddings of 10 x 4, two layers of 4 x 4 x 4 + 3 x 4 x 8 + 2 x 4, a norm of 4.
  CHECK(bytes_of(rows, "weights") == (80 + 2 * (64 + 96 + 8) + 4) * 2);
  // One border for both: 16 rows x 64 columns, and two A of 2 x 4, in two layers.
  CHECK(bytes_of(rows, "border") == 2 * (16 * 64 + 2 * 2 * 4) * 2);
  // Per layer two pairs of 2 x (4 + 8); masters, gradients, two moments, partial sums of 1, 2, 4.
  CHECK(bytes_of(rows, "state") == 2 * 2 * 24 * 7 * 4);
  CHECK(bytes_of(rows, "activations") == 100 * 2 * (6 * 4 + 2 * 8) * 2);
  Recipe dora = recipe;
  dora.lora.dora = true;
  CHECK(bytes_of(training_memory(dora, tiny(), DataType::kBF16), "activations") ==
        100 * 2 * (6 * 4 + 2 * 8 + 16) * 2);
  CHECK(bytes_of(rows, "gradients") == 100 * (4 * 4 + 5 * 8) * 2);
  recipe.train.early_stop = 1;
  CHECK(bytes_of(training_memory(recipe, tiny(), DataType::kBF16), "state") == 2 * 2 * 24 * 8 * 4);
  recipe.lora.init = LoraInitChoice::kPissa;
  CHECK(bytes_of(training_memory(recipe, tiny(), DataType::kBF16), "state") == 2 * 2 * 24 * 9 * 4);
}

TEST_CASE("Memory plan: a sharded base is a share of each linear and two whole layers") {
  Recipe recipe = adapter(2, {"gate_proj", "up_proj"});
  const auto whole = training_memory(recipe, tiny(), DataType::kBF16);
  const auto rows = training_memory(recipe, tiny(), DataType::kBF16, 3);
  // Of linears with 12, 4, 16 and 4 rows three ranks keep 4, 2, 6 and 2; the last one reads 8.
  const int64_t shard = 4 * 4 + 2 * 4 + 6 * 4 + 2 * 8;
  CHECK(bytes_of(rows, "weights") == (80 + 2 * 8 + 4 + 2 * shard) * 2);
  CHECK(bytes_of(rows, "whole layers") == (64 + 96 + 16 * 64 + 2 * 3 * shard) * 2);
  recipe.model.device = DeviceChoice::kCuda;
  CHECK(bytes_of(training_memory(recipe, tiny(), DataType::kBF16, 3), "whole layers") ==
        (64 + 96 + 16 * 64 + 3 * shard) * 2);
  for (const char* what : {"border", "state", "activations", "gradients"}) {
    CHECK(bytes_of(rows, what) == bytes_of(whole, what));
  }
}

TEST_CASE("Memory plan: over four ranks a base of 13B is 10 GB on each instead of 28") {
  const auto weights = [](int64_t shards) {
    Recipe recipe = adapter(8, {"W_pack"});
    recipe.model.device = DeviceChoice::kCuda;
    const auto rows = training_memory(recipe, baichuan2_13b(), DataType::kBF16, shards);
    return static_cast<double>(bytes_of(rows, "weights") +
                               std::max<int64_t>(0, bytes_of(rows, "whole layers")));
  };
  CHECK(weights(1) == Approx(27.79e9).epsilon(0.001));
  CHECK(weights(2) == Approx(16.45e9).epsilon(0.001));
  CHECK(weights(4) == Approx(10.14e9).epsilon(0.001));
  CHECK(weights(8) == Approx(6.99e9).epsilon(0.001));
}

TEST_CASE("Memory plan: full training has no border") {
  Recipe recipe;
  recipe.train.parameters = ParametersChoice::kFull;
  const auto rows = training_memory(recipe, tiny(), DataType::kF32);
  CHECK(bytes_of(rows, "border") == -1);
  CHECK(bytes_of(rows, "weights") == 420 * 4);
  CHECK(bytes_of(rows, "state") == 420 * 5 * 4);
}

TEST_CASE("Memory plan: keys and values of Baichuan2 are half a mebibyte a token") {
  Recipe recipe;
  recipe.evaluate.batch = 1;
  recipe.model.max_length = 2;
  recipe.evaluate.max_new_tokens = 3;
  CHECK(generation_memory(recipe, baichuan2_7b(), DataType::kBF16).bytes == 5 * 524288);
  ModelConfig shorter = baichuan2_13b();
  shorter.model_max_length = 4;
  CHECK(generation_memory(recipe, shorter, DataType::kBF16).bytes == 4 * 819200);
}

TEST_CASE("Memory plan: a frozen weight costs four operations a token, a trained one six") {
  Recipe recipe = adapter(8, {"all"});
  const double layers = 2 * (64 + 96);
  CHECK(training_operations(recipe, tiny(), 10, 3) == 4 * (10 * layers + 3 * 40));
  recipe.train.parameters = ParametersChoice::kFull;
  CHECK(training_operations(recipe, tiny(), 10, 3) == 6 * (10 * layers + 3 * 40));
}

}  // namespace
}  // namespace radgpt
