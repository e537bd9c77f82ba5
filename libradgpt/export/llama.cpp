#include "libradgpt/export/llama.h"

#include <torch/types.h>

#include <array>
#include <nlohmann/json.hpp>

#include "libradgpt/base/error.h"
#include "libradgpt/base/files.h"

namespace radgpt {
namespace {

constexpr double kRopeBase = 10000;

const char* torch_name(DataType type) {
  if (type == DataType::kBF16) return "bfloat16";
  return type == DataType::kF16 ? "float16" : "float32";
}

}  // namespace

void require_llama_kind(const ModelConfig& config, const std::string& where) {
  require(config.position == PositionKind::kRope, where,
          ": must be of the RoPE (7B) kind to become a LLaMA model, got ALiBi (13B), which LLaMA "
          "does not compute; --gguf writes it for llama.cpp");
}

std::vector<ExportedTensor> llama_tensors(const Baichuan& model) {
  static const std::string kPacked = "W_pack.weight";
  constexpr std::array<const char*, 3> kParts = {"q_proj.weight", "k_proj.weight", "v_proj.weight"};
  const int64_t hidden = model.config().hidden_size;
  std::vector<ExportedTensor> tensors;
  for (const ExportedTensor& one : baichuan_tensors(model)) {
    if (!one.name.ends_with(kPacked)) {
      tensors.push_back(one);
      continue;
    }
    const std::string stem = one.name.substr(0, one.name.size() - kPacked.size());
    for (size_t part = 0; part < kParts.size(); ++part) {
      tensors.push_back({stem + kParts[part],
                         {hidden, hidden},
                         one.values.narrow(0, static_cast<int64_t>(part) * hidden, hidden)});
    }
  }
  return tensors;
}

void write_llama_config(const std::string& path, const ModelConfig& config, DataType dtype) {
  const nlohmann::ordered_json root = {
      {"architectures", {"LlamaForCausalLM"}},
      {"model_type", "llama"},
      {"torch_dtype", torch_name(dtype)},
      {"vocab_size", config.vocab_size},
      {"hidden_size", config.hidden_size},
      {"intermediate_size", config.intermediate_size},
      {"num_hidden_layers", config.num_hidden_layers},
      {"num_attention_heads", config.num_attention_heads},
      {"num_key_value_heads", config.num_attention_heads},
      {"head_dim", config.head_dim()},
      {"max_position_embeddings", config.model_max_length},
      {"hidden_act", "silu"},
      {"rms_norm_eps", config.rms_norm_eps},
      {"initializer_range", config.initializer_range},
      {"rope_theta", kRopeBase},
      {"rope_scaling", nullptr},
      {"attention_bias", false},
      {"attention_dropout", 0.0},
      {"mlp_bias", false},
      {"pretraining_tp", 1},
      {"pad_token_id", config.pad_token_id},
      {"bos_token_id", config.bos_token_id},
      {"eos_token_id", config.eos_token_id},
      {"tie_word_embeddings", false},
      {"use_cache", true},
  };
  write_file_atomically(path, root.dump(2) + "\n");
}

}  // namespace radgpt
