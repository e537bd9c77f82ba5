#include "libradgpt/formats/model_config.h"

#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>

#include "libradgpt/base/error.h"
#include "libradgpt/formats/json.h"

namespace radgpt {
namespace {

using nlohmann::json;

constexpr uint64_t kLargestFile = 1 << 20;
constexpr int64_t kMostVocabulary = 1'000'000;
constexpr int64_t kMostHidden = 32'768;
constexpr int64_t kMostIntermediate = 131'072;
constexpr int64_t kMostLayers = 256;
constexpr int64_t kMostPositions = 1'000'000;
constexpr int64_t kMostParameters = 100'000'000'000;

/// The key of a first-generation model that gives it away; empty for other models.
std::string first_generation_key(const JsonObject& entries) {
  if (entries.has("architectures")) {
    const std::vector<std::string> names = entries.texts("architectures");
    if (!names.empty() && names[0] == "BaiChuanForCausalLM") return "architectures";
  }
  constexpr int64_t kVocabulary = 64'000;
  const bool is_first = entries.integer("vocab_size", 1, kMostVocabulary) == kVocabulary;
  return is_first ? "vocab_size" : "";
}

void refuse_other_models(const JsonObject& entries) {
  if (entries.text("model_type") != "baichuan") entries.refuse("model_type", "\"baichuan\"");
  const std::string key = first_generation_key(entries);
  require(
      key.empty(), entries.where(), ": ", key,
      ": must be that of Baichuan2, got the first Baichuan generation, which has another output "
      "head and tokenizer");
  if (entries.text_or("hidden_act", "silu") != "silu") entries.refuse("hidden_act", "\"silu\"");
  if (entries.boolean_or("tie_word_embeddings", false)) {
    entries.refuse("tie_word_embeddings", "false");
  }
}

PositionKind read_position(const JsonObject& entries, int64_t hidden_size) {
  constexpr int64_t kHidden7B = 4096;
  constexpr int64_t kHidden13B = 5120;
  if (entries.has("position_embedding")) {
    const std::string& name = entries.text("position_embedding");
    if (name == "rope") return PositionKind::kRope;
    if (name == "alibi") return PositionKind::kAlibi;
    entries.refuse("position_embedding", "\"rope\" or \"alibi\"");
  }
  if (hidden_size == kHidden7B) return PositionKind::kRope;
  if (hidden_size == kHidden13B) return PositionKind::kAlibi;
  fail(ErrorKind::kInput, entries.where(),
       ": position_embedding: must be \"rope\" or \"alibi\" where hidden_size is neither ",
       kHidden7B, " (7B) nor ", kHidden13B, " (13B), but is missing");
}

int64_t read_max_length(const JsonObject& entries) {
  const std::string key =
      entries.has("model_max_length") ? "model_max_length" : "max_position_embeddings";
  const int64_t length = entries.integer(key, 1, kMostPositions);
  return std::min(length, entries.integer_or("max_position_embeddings", 1, kMostPositions, length));
}

DataType read_dtype(const JsonObject& entries) {
  const std::string name = entries.text_or("torch_dtype", "bfloat16");
  if (name == "bfloat16") return DataType::kBF16;
  if (name == "float16") return DataType::kF16;
  if (name == "float32") return DataType::kF32;
  entries.refuse("torch_dtype", "\"bfloat16\", \"float16\" or \"float32\"");
}

std::string torch_name(DataType type) {
  if (type == DataType::kBF16) return "bfloat16";
  return type == DataType::kF16 ? "float16" : "float32";
}

void require_within(const std::string& where, const char* key, int64_t value, int64_t high) {
  require(value >= 1 && value <= high, where, ": ", key, ": must be an integer in [1, ", high,
          "], got ", value);
}

}  // namespace

void check_model_config(const ModelConfig& config, const std::string& where) {
  require_within(where, "vocab_size", config.vocab_size, kMostVocabulary);
  require_within(where, "hidden_size", config.hidden_size, kMostHidden);
  require_within(where, "intermediate_size", config.intermediate_size, kMostIntermediate);
  require_within(where, "num_hidden_layers", config.num_hidden_layers, kMostLayers);
  require_within(where, "num_attention_heads", config.num_attention_heads, config.hidden_size);
  require_within(where, "model_max_length", config.model_max_length, kMostPositions);
  require(config.hidden_size % config.num_attention_heads == 0, where,
          ": num_attention_heads: must divide hidden_size ", config.hidden_size, ", got ",
          config.num_attention_heads);
  require(config.position != PositionKind::kRope || config.head_dim() % 2 == 0, where,
          ": num_attention_heads: must give heads of an even size for rope, got size ",
          config.head_dim());
  require(config.rms_norm_eps > 0 && config.rms_norm_eps <= 0.1, where,
          ": rms_norm_eps: must be in (0, 0.1], got ", config.rms_norm_eps);
  require(config.initializer_range > 0 && config.initializer_range <= 1, where,
          ": initializer_range: must be in (0, 1], got ", config.initializer_range);
  for (const auto& [key, id] : {std::pair("pad_token_id", config.pad_token_id),
                                std::pair("bos_token_id", config.bos_token_id),
                                std::pair("eos_token_id", config.eos_token_id)}) {
    require(id >= 0 && id < config.vocab_size, where, ": ", key, ": must be in [0, ",
            config.vocab_size, "), got ", id);
  }
  require(is_weight_type(config.dtype), where, ": torch_dtype: must be of BF16, F16 or F32");
  require(parameter_count(config) <= kMostParameters, where, ": hidden_size: must give at most ",
          kMostParameters, " parameters with the other sizes, got ", parameter_count(config));
}

ModelConfig read_model_config(const std::string& path) {
  const json root = read_json_file(path, kLargestFile);
  const JsonObject entries(root, path);
  refuse_other_models(entries);
  ModelConfig config;
  config.vocab_size = entries.integer("vocab_size", 1, kMostVocabulary);
  config.hidden_size = entries.integer("hidden_size", 1, kMostHidden);
  config.intermediate_size = entries.integer("intermediate_size", 1, kMostIntermediate);
  config.num_hidden_layers = entries.integer("num_hidden_layers", 1, kMostLayers);
  config.num_attention_heads = entries.integer("num_attention_heads", 1, config.hidden_size);
  config.model_max_length = read_max_length(entries);
  config.rms_norm_eps = entries.number_or("rms_norm_eps", 0, 0.1, config.rms_norm_eps);
  config.initializer_range = entries.number_or("initializer_range", 0, 1, config.initializer_range);
  const int64_t last_id = config.vocab_size - 1;
  config.pad_token_id = entries.integer_or("pad_token_id", 0, last_id, config.pad_token_id);
  config.bos_token_id = entries.integer_or("bos_token_id", 0, last_id, config.bos_token_id);
  config.eos_token_id = entries.integer_or("eos_token_id", 0, last_id, config.eos_token_id);
  config.position = read_position(entries, config.hidden_size);
  config.dtype = read_dtype(entries);
  check_model_config(config, path);
  return config;
}

void write_model_config(const std::string& path, const ModelConfig& config) {
  check_model_config(config, path);
  const bool is_rope = config.position == PositionKind::kRope;
  nlohmann::ordered_json root = {
      {"architectures", {"BaichuanForCausalLM"}},
      {"model_type", "baichuan"},
      {"torch_dtype", torch_name(config.dtype)},
      {"position_embedding", is_rope ? "rope" : "alibi"},
      {"vocab_size", config.vocab_size},
      {"hidden_size", config.hidden_size},
      {"intermediate_size", config.intermediate_size},
      {"num_hidden_layers", config.num_hidden_layers},
      {"num_attention_heads", config.num_attention_heads},
      {"model_max_length", config.model_max_length},
      {"hidden_act", "silu"},
      {"rms_norm_eps", config.rms_norm_eps},
      {"initializer_range", config.initializer_range},
      {"pad_token_id", config.pad_token_id},
      {"bos_token_id", config.bos_token_id},
      {"eos_token_id", config.eos_token_id},
      {"tie_word_embeddings", false},
      {"use_cache", true},
  };
  if (is_rope) root["max_position_embeddings"] = config.model_max_length;
  const std::filesystem::path folder = std::filesystem::path(path).parent_path();
  if (std::filesystem::exists(folder / "modeling_baichuan.py")) {
    root["auto_map"] = {{"AutoConfig", "configuration_baichuan.BaichuanConfig"},
                        {"AutoModelForCausalLM", "modeling_baichuan.BaichuanForCausalLM"}};
  }
  write_file_atomically(path, root.dump(2) + "\n");
}

}  // namespace radgpt
