#pragma once

#include <torch/types.h>

#include <cmath>
#include <map>
#include <string>
#include <vector>

#include "libradgpt/formats/model_config.h"
#include "libradgpt/formats/safetensors.h"

namespace radgpt {

// Baichuan2 written plainly, one sequence at a time, every step an autograd op of LibTorch, in the
// type of its weights (double in the tests). Shares no code with libradgpt/model and ops.

using Weights = std::map<std::string, at::Tensor>;

/// A low-rank pair beside the linear of the same name.
struct ReferencePair {
  at::Tensor a, b;
  double scale = 1;
  at::Tensor magnitude = {};  ///< DoRA's lengths of rows; undefined without
};

struct ReferenceModel {
  ModelConfig config;
  Weights weights;                             ///< by Hugging Face name; lm_head not normalised
  std::map<std::string, ReferencePair> pairs;  ///< by the name of the linear without ".weight"

  /// x W^T with the pair called `name` if there is one. DoRA's norms are constants (its section
  /// 4.3).
  at::Tensor adapted(const at::Tensor& x, const at::Tensor& weight, const std::string& name) const {
    const auto found = pairs.find(name);
    if (found == pairs.end()) return x.mm(weight.t());
    const auto& [a, b, scale, magnitude] = found->second;
    const at::Tensor y = x.mm(weight.t()) + x.mm(a.t()).mm(b.t()) * scale;
    if (!magnitude.defined()) return y;
    return y * (magnitude / (weight + scale * b.mm(a)).norm(2, {1}).detach());
  }

  at::Tensor linear(const at::Tensor& x, const std::string& name) const {
    return adapted(x, weights.at(name + ".weight"), name);
  }

  /// q, k and v, of W_pack's pair or of those of its thirds.
  std::vector<at::Tensor> packed(const at::Tensor& x, const std::string& attention) const {
    const std::string whole = attention + "W_pack";
    if (pairs.count(whole) > 0) return linear(x, whole).chunk(3, 1);
    std::vector<at::Tensor> parts = weights.at(whole + ".weight").chunk(3, 0);
    const char* names[] = {"q_proj", "k_proj", "v_proj"};
    for (size_t i = 0; i < 3; ++i) parts[i] = adapted(x, parts[i], attention + names[i]);
    return parts;
  }

  at::Tensor norm(const at::Tensor& x, const std::string& name) const {
    const at::Tensor mean = (x * x).mean(-1, true);
    return x / (mean + config.rms_norm_eps).sqrt() * weights.at(name);
  }

  /// x [heads, tokens, head_dim]; pairs (i, i + head_dim / 2) turn by position * 10000^(-2i/dim).
  at::Tensor rotate(const at::Tensor& x) const {
    const int64_t half = x.size(2) / 2;
    std::vector<float> frequency(half);
    for (int64_t i = 0; i < half; ++i) {
      frequency[i] = std::pow(10000.0f, -2.0f * i / static_cast<float>(2 * half));
    }
    // In fp32 as the official code has it, whatever the type of the rest.
    const at::Tensor angle =
        at::arange(x.size(1), at::kFloat).unsqueeze(1) * at::tensor(frequency).unsqueeze(0);
    const at::Tensor cosine = angle.cos().to(x.scalar_type()),
                     sine = angle.sin().to(x.scalar_type());
    const at::Tensor left = x.narrow(2, 0, half), right = x.narrow(2, half, half);
    return at::cat({left * cosine - right * sine, right * cosine + left * sine}, 2);
  }

  /// Slope of head h of n: 2^(-8 (h + 1) / p) below the power of two p <= n, then every second one
  /// of 2p heads.
  double slope(int64_t head) const {
    int64_t power = 1;
    while (2 * power <= config.num_attention_heads) power *= 2;
    if (head < power) return std::pow(2.0, -8.0 * (head + 1) / power);
    return std::pow(2.0, -8.0 * (2 * (head - power) + 1) / (2.0 * power));
  }

  at::Tensor attention(const at::Tensor& x, const std::string& layer) const {
    const int64_t heads = config.num_attention_heads, tokens = x.size(0);
    const std::vector<at::Tensor> parts = packed(x, layer + "self_attn.");
    const auto by_head = [&](const at::Tensor& part) {
      return part.reshape({tokens, heads, -1}).transpose(0, 1);
    };
    at::Tensor q = by_head(parts[0]), k = by_head(parts[1]);
    const at::Tensor v = by_head(parts[2]);
    const at::Tensor place = at::arange(tokens, x.options());
    const at::Tensor distance = place.unsqueeze(0) - place.unsqueeze(1);  // [i, j] = j - i
    at::Tensor bias = at::zeros({heads, tokens, tokens}, x.options());
    if (config.position == PositionKind::kRope) {
      q = rotate(q);
      k = rotate(k);
    } else {
      for (int64_t h = 0; h < heads; ++h) {
        bias[h] = distance * static_cast<double>(static_cast<float>(slope(h)));
      }
    }
    bias = bias.masked_fill(distance > 0, -INFINITY);
    const at::Tensor scores = q.matmul(k.transpose(1, 2)) / std::sqrt(q.size(2)) + bias;
    const at::Tensor mixed = scores.softmax(-1).matmul(v).transpose(0, 1).reshape({tokens, -1});
    return linear(mixed, layer + "self_attn.o_proj");
  }

  at::Tensor mlp(const at::Tensor& x, const std::string& layer) const {
    const at::Tensor gate = linear(x, layer + "mlp.gate_proj");
    return linear(gate * gate.sigmoid() * linear(x, layer + "mlp.up_proj"),
                  layer + "mlp.down_proj");
  }

  /// Hidden states after the final norm of one sequence.
  at::Tensor hidden(const std::vector<int64_t>& tokens) const {
    at::Tensor x = weights.at("model.embed_tokens.weight").index({at::tensor(tokens, at::kLong)});
    for (int64_t i = 0; i < config.num_hidden_layers; ++i) {
      const std::string layer = "model.layers." + std::to_string(i) + ".";
      x = x + attention(norm(x, layer + "input_layernorm.weight"), layer);
      x = x + mlp(norm(x, layer + "post_attention_layernorm.weight"), layer);
    }
    return norm(x, "model.norm.weight");
  }

  at::Tensor logits(const std::vector<int64_t>& tokens) const {
    const at::Tensor& head = weights.at("lm_head.weight");
    return hidden(tokens).mm((head / head.norm(2, {1}, true).clamp_min(1e-12)).t());
  }

  /// log P(next | tokens) for every id.
  at::Tensor next_log_probabilities(const std::vector<int64_t>& tokens) const {
    return at::log_softmax(logits(tokens)[static_cast<int64_t>(tokens.size()) - 1], 0);
  }
};

/// Two layers with heads that are no power of two: 6 of 8 columns (RoPE), 5 of 8 (ALiBi).
inline ModelConfig small_config(PositionKind position) {
  ModelConfig config;
  config.vocab_size = 211;
  config.num_attention_heads = position == PositionKind::kRope ? 6 : 5;
  config.hidden_size = 8 * config.num_attention_heads;
  config.intermediate_size = 2 * config.hidden_size + 8;
  config.num_hidden_layers = 2;
  config.model_max_length = 128;
  config.position = position;
  config.dtype = DataType::kF32;
  return config;
}

/// Weights at which every part of the model matters, exact in fp32, of the given type.
inline Weights random_weights(const ModelConfig& config, at::ScalarType type = at::kDouble) {
  at::manual_seed(7);
  Weights weights;
  for (const NamedShape& one : named_tensors(config)) {
    at::Tensor values = at::randn(one.shape, at::kFloat);
    if (one.shape.size() == 1) {
      values = 1 + 0.2 * values;
    } else if (one.name != "model.embed_tokens.weight") {
      values = values / std::sqrt(static_cast<double>(one.shape[1]));
    }
    weights[one.name] = values.to(type);
  }
  return weights;
}

/// Writes config.json and model.safetensors in fp32.
inline void write_model_folder(const std::string& folder, const ModelConfig& config,
                               const Weights& weights) {
  std::vector<at::Tensor> kept;
  std::vector<TensorBytes> tensors;
  for (const auto& [name, values] : weights) {
    kept.push_back(values.detach().to(at::kFloat).contiguous());
    const auto* bytes = static_cast<const std::byte*>(kept.back().const_data_ptr());
    tensors.push_back(
        {{name, DataType::kF32, values.sizes().vec()}, {bytes, kept.back().nbytes()}});
  }
  write_safetensors(folder + "/model.safetensors", tensors, {{"format", "pt"}});
  write_model_config(folder + "/config.json", config);
}

/// Largest difference over the largest value expected.
inline double relative_error(const at::Tensor& got, const at::Tensor& expected) {
  const at::Tensor exact = expected.detach().to(at::kDouble);
  const double largest = exact.abs().max().item<double>();
  const double difference = (got.detach().to(at::kDouble) - exact).abs().max().item<double>();
  return difference / largest;
}

}  // namespace radgpt
