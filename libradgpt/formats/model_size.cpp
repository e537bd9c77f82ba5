#include "libradgpt/formats/model_config.h"

namespace radgpt {

int64_t parameter_count(const ModelConfig& config) {
  const int64_t hidden = config.hidden_size;
  const int64_t attention = 4 * hidden * hidden;
  const int64_t mlp = 3 * hidden * config.intermediate_size;
  const int64_t norms = 2 * hidden;
  return 2 * config.vocab_size * hidden + config.num_hidden_layers * (attention + mlp + norms) +
         hidden;
}

int64_t kv_cache_bytes_per_token(const ModelConfig& config, DataType dtype) {
  return 2 * config.num_hidden_layers * config.hidden_size * size_of(dtype);
}

std::vector<NamedShape> named_tensors(const ModelConfig& config) {
  const int64_t hidden = config.hidden_size;
  const int64_t wide = config.intermediate_size;
  std::vector<NamedShape> tensors;
  tensors.push_back({"model.embed_tokens.weight", {config.vocab_size, hidden}});
  for (int64_t i = 0; i < config.num_hidden_layers; ++i) {
    const std::string layer = "model.layers." + std::to_string(i) + ".";
    tensors.push_back({layer + "input_layernorm.weight", {hidden}});
    tensors.push_back({layer + "self_attn.W_pack.weight", {3 * hidden, hidden}});
    tensors.push_back({layer + "self_attn.o_proj.weight", {hidden, hidden}});
    tensors.push_back({layer + "post_attention_layernorm.weight", {hidden}});
    tensors.push_back({layer + "mlp.gate_proj.weight", {wide, hidden}});
    tensors.push_back({layer + "mlp.up_proj.weight", {wide, hidden}});
    tensors.push_back({layer + "mlp.down_proj.weight", {hidden, wide}});
  }
  tensors.push_back({"model.norm.weight", {hidden}});
  tensors.push_back({"lm_head.weight", {config.vocab_size, hidden}});
  return tensors;
}

}  // namespace radgpt
