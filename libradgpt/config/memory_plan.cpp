#include "libradgpt/config/memory_plan.h"

#include <algorithm>
#include <bit>

#include "libradgpt/base/error.h"

namespace radgpt {
namespace {

/// Columns of a border come in tiles of this many (libradgpt/ops/lora_pair.h).
constexpr int64_t kBorderTile = 64;
constexpr int64_t kMasterBytes = 4;

/// A linear layer as the model computes it, and the adapters it can have, of as many rows each.
struct Linear {
  std::vector<std::vector<std::string>> targets;
  int64_t in = 0;
  int64_t out = 0;
};

std::vector<Linear> linears(const ModelConfig& model) {
  const int64_t hidden = model.hidden_size;
  const int64_t wide = model.intermediate_size;
  return {{{{"W_pack"}, {"q_proj", "k_proj", "v_proj"}}, hidden, 3 * hidden},
          {{{"o_proj"}}, hidden, hidden},
          {{{"gate_proj", "up_proj"}}, hidden, 2 * wide},
          {{{"down_proj"}}, wide, hidden}};
}

/// Rows of each adapter on a linear layer.
std::vector<int64_t> adapter_rows(const LoraRecipe& lora, const Linear& linear) {
  const auto is_target = [&](const std::string& name) {
    return std::find(lora.targets.begin(), lora.targets.end(), name) != lora.targets.end();
  };
  std::vector<int64_t> rows;
  for (const std::vector<std::string>& stacked : linear.targets) {
    const auto parts = static_cast<int64_t>(stacked.size());
    const bool is_first = &stacked == &linear.targets.front();  // `all` has no thirds of W_pack
    const int64_t count = is_target("all") && is_first
                              ? parts
                              : std::count_if(stacked.begin(), stacked.end(), is_target);
    rows.insert(rows.end(), count, linear.out / parts);
  }
  return rows;
}

/// Columns that the adapters of a linear layer need, and those of its border.
int64_t adapter_columns(const LoraRecipe& lora, const Linear& linear) {
  return static_cast<int64_t>(adapter_rows(lora, linear).size()) * lora.rank;
}

int64_t border_columns(const LoraRecipe& lora, const Linear& linear) {
  return (adapter_columns(lora, linear) + kBorderTile - 1) / kBorderTile * kBorderTile;
}

void add_weights(std::vector<MemoryRow>& rows, const ModelConfig& model, DataType type) {
  rows.push_back({"weights", parameter_count(model) * size_of(type),
                  concat(parameter_count(model), " x ", name_of(type))});
}

/// Gathered is what all ranks keep, rows that the last ones lack included.
void add_sharded_weights(std::vector<MemoryRow>& rows, const Recipe& recipe,
                         const ModelConfig& model, DataType type, int64_t shards) {
  int64_t whole = 0, shard = 0, border = 0;
  for (const Linear& linear : linears(model)) {
    whole += linear.out * linear.in;
    shard += (linear.out + shards - 1) / shards * linear.in;
    border += linear.out * border_columns(recipe.lora, linear);
  }
  const int64_t layers = model.num_hidden_layers;
  const int64_t replicated = parameter_count(model) - layers * whole;
  rows.push_back({"weights", (replicated + layers * shard) * size_of(type),
                  concat(replicated, " + ", layers, " layers x ", shard, ", 1/", shards,
                         " of each, x ", name_of(type))});
  const int64_t copies = recipe.model.device == DeviceChoice::kCuda ? 1 : 2;
  rows.push_back(
      {"whole layers", (whole + border + copies * shards * shard) * size_of(type),
       concat("one at work and ", copies, " x the next, gathered ahead, x ", name_of(type))});
}

MemoryRow border_memory(const Recipe& recipe, const ModelConfig& model, int64_t bytes) {
  const LoraRecipe& lora = recipe.lora;
  int64_t elements = 0;
  for (const Linear& linear : linears(model)) {
    elements +=
        linear.out * border_columns(lora, linear) + adapter_columns(lora, linear) * linear.in;
  }
  return {"border", model.num_hidden_layers * elements * bytes,
          concat("rank ", lora.rank, " in tiles of ", kBorderTile, " columns")};
}

MemoryRow state_memory(const Recipe& recipe, int64_t parameters) {
  const auto packs = static_cast<uint64_t>(recipe.train.packs_per_step);
  const bool keeps_start = recipe.train.parameters == ParametersChoice::kAdapter &&
                           recipe.lora.init == LoraInitChoice::kPissa;
  const int64_t copies =
      4 + std::bit_width(packs) + (recipe.train.early_stop > 0 ? 1 : 0) + (keeps_start ? 1 : 0);
  return {"state", parameters * copies * kMasterBytes,
          concat(parameters, " trained parameters x ", copies, " x fp32")};
}

/// Results that DoRA keeps before their lengths, per token and layer.
int64_t scaled_outputs(const Recipe& recipe, const ModelConfig& model) {
  int64_t outputs = 0;
  if (recipe.train.parameters != ParametersChoice::kAdapter || !recipe.lora.dora) return outputs;
  for (const Linear& linear : linears(model)) {
    if (!adapter_rows(recipe.lora, linear).empty()) outputs += linear.out;
  }
  return outputs;
}

}  // namespace

int64_t trained_parameters(const Recipe& recipe, const ModelConfig& model) {
  if (recipe.train.parameters == ParametersChoice::kFull) return parameter_count(model);
  int64_t parameters = 0;
  for (const Linear& linear : linears(model)) {
    for (const int64_t rows : adapter_rows(recipe.lora, linear)) {
      parameters += recipe.lora.rank * (linear.in + rows) + (recipe.lora.dora ? rows : 0);
    }
  }
  return model.num_hidden_layers * parameters;
}

std::vector<MemoryRow> training_memory(const Recipe& recipe, const ModelConfig& model,
                                       DataType type, int64_t shards) {
  const int64_t bytes = size_of(type);
  const int64_t hidden = model.hidden_size;
  const int64_t wide = model.intermediate_size;
  const int64_t tokens = recipe.train.pack_tokens;
  std::vector<MemoryRow> rows;
  if (shards > 1) {
    add_sharded_weights(rows, recipe, model, type, shards);
  } else {
    add_weights(rows, model, type);
  }
  if (recipe.train.parameters == ParametersChoice::kAdapter) {
    rows.push_back(border_memory(recipe, model, bytes));
  }
  rows.push_back(state_memory(recipe, trained_parameters(recipe, model)));
  const int64_t kept = 6 * hidden + 2 * wide + scaled_outputs(recipe, model);
  rows.push_back({"activations", tokens * model.num_hidden_layers * kept * bytes,
                  concat(tokens, " tokens x ", model.num_hidden_layers, " layers x ", kept)});
  rows.push_back({"gradients", tokens * (4 * hidden + 5 * wide) * bytes,
                  concat(tokens, " tokens x one layer x ", 4 * hidden + 5 * wide)});
  return rows;
}

MemoryRow generation_memory(const Recipe& recipe, const ModelConfig& model, DataType type) {
  const int64_t sequences = recipe.evaluate.batch;
  const int64_t tokens =
      std::min(recipe.model.max_length + recipe.evaluate.max_new_tokens, model.model_max_length);
  return {"keys and values", sequences * tokens * kv_cache_bytes_per_token(model, type),
          concat("at most ", sequences, " sequences x ", tokens, " tokens")};
}

double training_operations(const Recipe& recipe, const ModelConfig& model, int64_t tokens,
                           int64_t targets) {
  const auto hidden = static_cast<double>(model.hidden_size);
  const auto wide = static_cast<double>(model.intermediate_size);
  const auto layers = static_cast<double>(model.num_hidden_layers);
  const double products = recipe.train.parameters == ParametersChoice::kFull ? 3 : 2;
  const double layer_weights = layers * hidden * (4 * hidden + 3 * wide);
  const double head_weights = static_cast<double>(model.vocab_size) * hidden;
  return 2 * products *
         (static_cast<double>(tokens) * layer_weights +
          static_cast<double>(targets) * head_weights);
}

}  // namespace radgpt
