#include "libradgpt/export/gguf_model.h"

#include <torch/types.h>

#include <array>
#include <span>
#include <utility>

#include "libradgpt/base/error.h"
#include "libradgpt/export/chat_files.h"

namespace radgpt {
namespace {

constexpr int64_t kRopeLayers = 32;
constexpr int64_t kAlibiLayers = 40;
constexpr float kRopeBase = 10000;

using Names = std::pair<std::string_view, std::string_view>;

constexpr std::array<Names, 3> kOuterNames = {{
    {"model.embed_tokens.weight", "token_embd.weight"},
    {"model.norm.weight", "output_norm.weight"},
    {"lm_head.weight", "output.weight"},
}};

constexpr std::string_view kLayer = "model.layers.";
constexpr std::string_view kPacked = "self_attn.W_pack.weight";

constexpr std::array<Names, 6> kLayerNames = {{
    {"input_layernorm.weight", "attn_norm.weight"},
    {"self_attn.o_proj.weight", "attn_output.weight"},
    {"post_attention_layernorm.weight", "ffn_norm.weight"},
    {"mlp.gate_proj.weight", "ffn_gate.weight"},
    {"mlp.up_proj.weight", "ffn_up.weight"},
    {"mlp.down_proj.weight", "ffn_down.weight"},
}};

std::string name_in(std::span<const Names> table, const std::string& name) {
  for (const auto& [ours, theirs] : table) {
    if (ours == name) return std::string(theirs);
  }
  fail(ErrorKind::kUsage, "gguf: no name for ", name);
}

/// Rows of all heads, [heads, head_dim / 2, 2, columns]: the order in the file.
at::Tensor in_neighbouring_pairs(const at::Tensor& rows, int64_t heads) {
  return rows.unflatten(0, {heads, 2, -1}).transpose(1, 2);
}

void add_packed(std::vector<ExportedTensor>& tensors, const std::string& block,
                const at::Tensor& packed, int64_t heads) {
  const int64_t hidden = packed.size(1);
  const auto part = [&](int64_t i) { return packed.narrow(0, i * hidden, hidden); };
  const Shape shape = {hidden, hidden};
  tensors.push_back({block + "attn_q.weight", shape, in_neighbouring_pairs(part(0), heads)});
  tensors.push_back({block + "attn_k.weight", shape, in_neighbouring_pairs(part(1), heads)});
  tensors.push_back({block + "attn_v.weight", shape, part(2)});
}

/// enum llama_ftype: what most tensors of a file are.
uint32_t file_type(TensorEncoding encoding) {
  switch (encoding) {
    case TensorEncoding::kFp32:
      return 0;
    case TensorEncoding::kFp16:
      return 1;
    case TensorEncoding::kQ8_0:
      return 7;
    case TensorEncoding::kBf16:
      return 32;
  }
  fail(ErrorKind::kUsage, "gguf: unknown encoding ", static_cast<int>(encoding));
}

std::string with_spaces(std::string text) {
  static const std::string kMark = "\u2581";
  for (size_t at = 0; (at = text.find(kMark, at)) != std::string::npos; ++at) {
    text.replace(at, kMark.size(), " ");
  }
  return text;
}

void add_vocabulary(GgufMetadata& metadata, const SentencePieceModel& tokenizer) {
  std::vector<std::string> texts;
  std::vector<float> scores;
  std::vector<int32_t> types;
  for (const Piece& piece : tokenizer.pieces) {
    const bool is_user_defined = piece.type == PieceType::kUserDefined;
    texts.push_back(is_user_defined ? with_spaces(piece.text) : piece.text);
    scores.push_back(piece.score);
    types.push_back(static_cast<int32_t>(piece.type));  // sentencepiece's numbers are ggml's
  }
  metadata.emplace_back("tokenizer.ggml.model", "llama");
  metadata.emplace_back("tokenizer.ggml.pre", "default");
  metadata.emplace_back("tokenizer.ggml.tokens", std::move(texts));
  metadata.emplace_back("tokenizer.ggml.scores", std::move(scores));
  metadata.emplace_back("tokenizer.ggml.token_type", std::move(types));
}

uint32_t unknown_id(const SentencePieceModel& tokenizer) {
  for (size_t id = 0; id < tokenizer.pieces.size(); ++id) {
    if (tokenizer.pieces[id].type == PieceType::kUnknown) return static_cast<uint32_t>(id);
  }
  return 0;
}

void add_shape(GgufMetadata& metadata, const ModelConfig& config, const std::string& prefix) {
  const auto add = [&](const char* key, int64_t value) {
    metadata.emplace_back(prefix + key, static_cast<uint32_t>(value));
  };
  add(".vocab_size", config.vocab_size);
  add(".context_length", config.model_max_length);
  add(".embedding_length", config.hidden_size);
  add(".block_count", config.num_hidden_layers);
  add(".feed_forward_length", config.intermediate_size);
  add(".attention.head_count", config.num_attention_heads);
  add(".attention.head_count_kv", config.num_attention_heads);
  add(".rope.dimension_count", config.head_dim());
  metadata.emplace_back(prefix + ".rope.freq_base", kRopeBase);
  metadata.emplace_back(prefix + ".attention.layer_norm_rms_epsilon",
                        static_cast<float>(config.rms_norm_eps));
  metadata.emplace_back(prefix + ".tensor_data_layout", "Meta AI original pth");
}

}  // namespace

std::string gguf_architecture(const ModelConfig& config, const std::string& where) {
  const bool is_rope = config.position == PositionKind::kRope;
  if (config.num_hidden_layers == (is_rope ? kRopeLayers : kAlibiLayers)) return "baichuan";
  require(is_rope, where, ": num_hidden_layers: must be ", kAlibiLayers,
          " for an ALiBi model, by which llama.cpp knows it, got ", config.num_hidden_layers);
  return "llama";
}

std::vector<ExportedTensor> gguf_tensors(const Baichuan& model) {
  std::vector<ExportedTensor> tensors;
  for (const ExportedTensor& one : baichuan_tensors(model)) {
    if (!one.name.starts_with(kLayer)) {
      tensors.push_back({name_in(kOuterNames, one.name), one.shape, one.values});
      continue;
    }
    const size_t dot = one.name.find('.', kLayer.size());
    const std::string block = "blk." + one.name.substr(kLayer.size(), dot + 1 - kLayer.size());
    const std::string inner = one.name.substr(dot + 1);
    if (inner == kPacked) {
      add_packed(tensors, block, one.values, model.config().num_attention_heads);
    } else {
      tensors.push_back({block + name_in(kLayerNames, inner), one.shape, one.values});
    }
  }
  return tensors;
}

TensorEncoding gguf_encoding(const ExportedTensor& tensor, TensorEncoding asked) {
  return tensor.shape.size() == 1 ? TensorEncoding::kFp32 : asked;
}

GgufMetadata gguf_metadata(const ModelConfig& config, const SentencePieceModel& tokenizer,
                           TensorEncoding encoding, const std::string& name) {
  const std::string architecture = gguf_architecture(config, name);
  GgufMetadata metadata = {{"general.architecture", architecture},
                           {"general.type", "model"},
                           {"general.name", name},
                           {"general.file_type", file_type(encoding)},
                           {"general.quantization_version", uint32_t{2}}};
  add_shape(metadata, config, architecture);
  add_vocabulary(metadata, tokenizer);
  const auto add_id = [&](const char* key, int64_t id) {
    metadata.emplace_back(key, static_cast<uint32_t>(id));
  };
  add_id("tokenizer.ggml.bos_token_id", config.bos_token_id);
  add_id("tokenizer.ggml.eos_token_id", config.eos_token_id);
  add_id("tokenizer.ggml.unknown_token_id", unknown_id(tokenizer));
  add_id("tokenizer.ggml.padding_token_id", config.pad_token_id);
  metadata.emplace_back("tokenizer.ggml.add_bos_token", false);
  metadata.emplace_back("tokenizer.ggml.add_eos_token", false);
  metadata.emplace_back("tokenizer.ggml.add_space_prefix", false);
  metadata.emplace_back("tokenizer.chat_template", chat_template(tokenizer));
  return metadata;
}

}  // namespace radgpt
