#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "libradgpt/formats/checkpoint_index.h"

namespace radgpt {

/// How Baichuan2 tells tokens' places apart: rotary embedding (the 7B kind) or a bias that grows
/// with distance (the 13B kind).
enum class PositionKind { kRope, kAlibi };

/// The shape of a Baichuan2 model, as config.json gives it. All have SwiGLU layers, RMSNorm, no
/// biases, one key and value head per query head, and a normalised output head (NormHead).
struct ModelConfig {
  int64_t vocab_size = 125696;
  int64_t hidden_size = 4096;
  int64_t intermediate_size = 11008;
  int64_t num_hidden_layers = 32;
  int64_t num_attention_heads = 32;
  int64_t model_max_length = 4096;  ///< tokens; config.json may call it max_position_embeddings
  double rms_norm_eps = 1e-6;
  double initializer_range = 0.02;  ///< standard deviation of a fresh weight
  int64_t pad_token_id = 0;
  int64_t bos_token_id = 1;
  int64_t eos_token_id = 2;
  PositionKind position = PositionKind::kRope;
  DataType dtype = DataType::kBF16;  ///< of the stored weights: BF16, F16 or F32

  int64_t head_dim() const { return hidden_size / num_attention_heads; }
  bool operator==(const ModelConfig&) const = default;
};

/// Throws Error(kInput) "WHERE: KEY: must be …" unless the sizes are within bounds and fit
/// together: heads divide the hidden size, an even head dimension for RoPE, ids within the
/// vocabulary, at most 10^11 parameters.
void check_model_config(const ModelConfig& config, const std::string& where);

/// Reads and checks config.json. Unknown keys are ignored, and nothing that a config names
/// (auto_map) is ever run. The kind of position comes from our key "position_embedding" ("rope" or
/// "alibi"), without it from the hidden size: 4096 is RoPE, 5120 ALiBi, anything else an Error.
/// The first Baichuan generation, whose head is not normalised, is refused.
ModelConfig read_model_config(const std::string& path);

/// Writes what the official files of Baichuan2 have, so that Hugging Face loads it, and
/// "position_embedding" beside it; auto_map only where the official modeling_baichuan.py already
/// lies in the same folder, since Hugging Face asks its user to run what auto_map names.
void write_model_config(const std::string& path, const ModelConfig& config);

/// 7B: 7,505,973,248. 13B: 13,896,668,160.
int64_t parameter_count(const ModelConfig& config);

/// Keys and values of one token in all layers. bf16: 524,288 (7B), 819,200 (13B).
int64_t kv_cache_bytes_per_token(const ModelConfig& config, DataType dtype);

/// Names and shapes of all weights in the order of the forward pass (V vocabulary, h hidden,
/// f intermediate; 3 + 7 per layer):
///
///   model.embed_tokens.weight [V, h]
///   model.layers.I.{input_layernorm [h], self_attn.W_pack [3h, h], self_attn.o_proj [h, h],
///     post_attention_layernorm [h], mlp.gate_proj [f, h], mlp.up_proj [f, h],
///     mlp.down_proj [h, f]}.weight
///   model.norm.weight [h]
///   lm_head.weight [V, h]
std::vector<NamedShape> named_tensors(const ModelConfig& config);

}  // namespace radgpt
