#include "libradgpt/model/baichuan.h"

#include <ATen/cpu/Utils.h>
#include <torch/types.h>

#include <algorithm>

#include "libradgpt/base/error.h"
#include "libradgpt/model/embedding_noise.h"
#include "libradgpt/model/row_adapters.h"
#include "libradgpt/model/sharded_layers.h"
#include "libradgpt/ops/device_kernels.h"

namespace radgpt {

namespace {

BorderedWeight frozen_linear(int64_t out, int64_t in, const at::TensorOptions& options) {
  return {.storage = at::empty({out, in}, options), .in_features = in, .pairs = {}, .master = {}};
}

NormWeight frozen_norm(const ModelConfig& config, const at::TensorOptions& options) {
  return {.weight = at::empty({config.hidden_size}, options),
          .master = {},
          .epsilon = config.rms_norm_eps};
}

BaichuanLayer make_layer(const ModelConfig& config, const at::TensorOptions& options,
                         const at::TensorOptions& of_linears) {
  const int64_t hidden = config.hidden_size, intermediate = config.intermediate_size;
  return {.attention_norm = frozen_norm(config, options),
          .packed_qkv = frozen_linear(3 * hidden, hidden, of_linears),
          .attention_output = frozen_linear(hidden, hidden, of_linears),
          .mlp_norm = frozen_norm(config, options),
          .gate_up = frozen_linear(2 * intermediate, hidden, of_linears),
          .down = frozen_linear(hidden, intermediate, of_linears)};
}

void check_tokens(const std::vector<int64_t>& tokens, int64_t vocabulary) {
  const auto outside = std::find_if(tokens.begin(), tokens.end(),
                                    [=](int64_t id) { return id < 0 || id >= vocabulary; });
  require(outside == tokens.end(), "model: token ids must be in [0, ", vocabulary, "), got ",
          outside == tokens.end() ? 0 : *outside);
}

/// What else reads segments must not lead beyond the tokens.
void check_segments(const Pack& pack) {
  const int64_t covered = pack.segments.empty() ? 0 : pack.segments.back().end;
  require(covered == pack.size(), "model: segments must cover all ", pack.size(), " tokens, got ",
          covered);
}

}  // namespace

at::Device native_device() { return cuda_available() ? at::kCUDA : at::kCPU; }

at::ScalarType native_type(at::Device device) {
  if (device.is_cuda()) return at::kBFloat16;
  const auto capabilities = at::cpu::get_cpu_capabilities();
  const auto has = [&](const char* name) {
    const auto found = capabilities.find(name);
    return found != capabilities.end() && found->second.isBool() && found->second.toBool();
  };
  return has("avx512_bf16") || has("amx_bf16") ? at::kBFloat16 : at::kFloat;
}

at::TensorOptions native_options() {
  const at::Device device = native_device();
  return at::TensorOptions(device).dtype(native_type(device));
}

BorderedWeight& BaichuanLayer::linear(LinearKind kind) {
  switch (kind) {
    case LinearKind::kPackedQkv:
      return packed_qkv;
    case LinearKind::kAttentionOutput:
      return attention_output;
    case LinearKind::kGateUp:
      return gate_up;
    case LinearKind::kDown:
      return down;
  }
  fail(ErrorKind::kUsage, "model: unknown kind of linear ", static_cast<int>(kind));
}

std::array<BorderedWeight*, 4> BaichuanLayer::linears() {
  return {&packed_qkv, &attention_output, &gate_up, &down};
}

Baichuan::Baichuan(const ModelConfig& config, const at::TensorOptions& options, Communicator* ranks)
    : config_(config), options_(options) {
  check_model_config(config, "model");
  embedding_ = at::empty({config.vocab_size, config.hidden_size}, options);
  const bool shards = ranks != nullptr && ranks->size() > 1;
  layers_.reserve(config.num_hidden_layers);
  for (int64_t i = 0; i < config.num_hidden_layers; ++i) {
    layers_.push_back(make_layer(config, options, shards ? options.device(at::kMeta) : options));
  }
  if (shards) {
    std::vector<ShardedLayers::Linears> linears;
    for (BaichuanLayer& layer : layers_) linears.push_back(layer.linears());
    sharded_ = std::make_unique<ShardedLayers>(*ranks, std::move(linears), options);
  }
  final_norm_ = frozen_norm(config, options);
  head_.normalised = at::empty({config.vocab_size, config.hidden_size}, options);
  head_norms_ = at::ones({config.vocab_size}, options.dtype(at::kFloat));
  encoding_ = config.position == PositionKind::kRope
                  ? PositionEncoding::rope(config.head_dim(), config.model_max_length)
                  : PositionEncoding::alibi(config.num_attention_heads);
  encoding_ = encoding_.to(device());
}

Baichuan::~Baichuan() = default;

at::Tensor Baichuan::index_tensor(const std::vector<int64_t>& values) const {
  return at::tensor(values, at::kLong).to(device());
}

at::Tensor Baichuan::position_tensor(const std::vector<int64_t>& positions) const {
  if (encoding_.cosines.defined() && !positions.empty()) {
    const auto [first, last] = std::minmax_element(positions.begin(), positions.end());
    require(*first >= 0 && *last < config_.model_max_length, "model: positions must be in [0, ",
            config_.model_max_length, "), got ", *first, " to ", *last);
  }
  return index_tensor(positions);
}

at::Tensor Baichuan::embed(const std::vector<int64_t>& tokens) const {
  check_tokens(tokens, config_.vocab_size);
  const at::Tensor ids = index_tensor(tokens);
  if (embedding_master_.defined()) return at::embedding(embedding_master_, ids).to(type());
  return embedding_.index_select(0, ids);
}

// attention(i, qkv) mixes the tokens in layer i. What follows the last one is done for `rows` alone
// (undefined: all), for nobody reads the others.
template <typename Attention>
at::Tensor Baichuan::run_layers(at::Tensor x, const LayerPasses& passes, const at::Tensor& rows,
                                Attention attention) const {
  at::Tensor branch;  // what the layer before adds to x: the next norm takes both
  const int lowest = lowest_with_gradients();
  for (size_t i = 0; i < layers_.size(); ++i) {
    const BaichuanLayer& layer = layers_[i];
    const int number = static_cast<int>(i);
    if (sharded_) sharded_->enter_forward(number, lowest);
    const NormedProduct qkv =
        rms_norm_lora_linear(x, branch, layer.attention_norm, layer.packed_qkv, passes.all);
    // Below the lowest there is no backward pass, though the lowest itself has a node here.
    if (sharded_ && number > lowest) sharded_->enter_behind(qkv.y, number - 1, lowest);
    x = qkv.sum;
    at::Tensor mixed = attention(i, qkv.y);
    const bool selects = rows.defined() && i + 1 == layers_.size();
    const LoraPass& pass = selects ? passes.selected : passes.all;
    if (selects) {
      mixed = mixed.index_select(0, rows);
      x = x.index_select(0, rows);
    }
    branch = lora_linear(mixed, layer.attention_output, pass);
    const NormedProduct gate_up =
        rms_norm_lora_linear(x, branch, layer.mlp_norm, layer.gate_up, pass);
    x = gate_up.sum;
    branch = swiglu_lora_linear(gate_up.y, layer.down, pass);
  }
  const at::Tensor hidden = rms_norm(x, branch, final_norm_);
  if (sharded_) sharded_->enter_behind(hidden, layers() - 1, lowest);
  return hidden;
}

// Of a sharded base: the lowest layer that the backward pass of what is computed now comes to.
int Baichuan::lowest_with_gradients() const {
  return sharded_ && at::GradMode::is_enabled() ? sharded_->lowest_with_gradients() : layers();
}

void Baichuan::join_pass(PassKind kind) const {
  if (!sharded_) return;
  const bool backward = kind == PassKind::kForwardAndBackward;
  sharded_->join(backward ? sharded_->lowest_with_gradients() : layers());
}

at::Tensor Baichuan::forward(const Pack& pack, const DropoutKey& key) const {
  return forward_rows(pack, key, nullptr);
}

at::Tensor Baichuan::forward(const Pack& pack, const DropoutKey& key,
                             const std::vector<int64_t>& rows) const {
  return forward_rows(pack, key, &rows);
}

at::Tensor Baichuan::forward_rows(const Pack& pack, const DropoutKey& key,
                                  const std::vector<int64_t>* rows) const {
  check_segments(pack);
  const at::Tensor positions = position_tensor(pack.positions);
  const AttentionLayout layout(pack.segments, device());
  at::Tensor x = embed(pack.tokens);
  if (key.active && key.neftune_alpha > 0) {
    const at::Tensor noise = embedding_noise(pack, config_.hidden_size, key);
    x = x + noise.to(x.device(), x.scalar_type());
  }
  return run_layers(
      std::move(x), layer_passes(key, adapter_of_row(pack), rows),
      rows == nullptr ? at::Tensor() : index_tensor(*rows), [&](size_t, const at::Tensor& qkv) {
        return segment_attention(qkv, positions, layout, config_.num_attention_heads, encoding_);
      });
}

/// `adapters` as adapter_of_row has them; null rows: all go on.
Baichuan::LayerPasses Baichuan::layer_passes(const DropoutKey& key,
                                             const std::vector<int32_t>& adapters,
                                             const std::vector<int64_t>* rows) const {
  LayerPasses passes{key, key};
  if (adapters.empty()) return passes;
  passes.all.rows_of_choice = rows_of_choice(adapters, choices_, device());
  if (rows == nullptr) return passes;
  std::vector<int32_t> selected;
  for (const int64_t row : *rows) selected.push_back(adapters.at(static_cast<size_t>(row)));
  passes.selected.rows_of_choice = rows_of_choice(selected, choices_, device());
  return passes;
}

void Baichuan::make_border(int layer, LinearKind kind, int64_t columns) {
  BorderedWeight& weight = linear(layer, kind);
  const int64_t border = (columns + kBorderTile - 1) / kBorderTile * kBorderTile;
  if (weight.border() >= border) return;
  if (sharded_) return sharded_->make_border(weight, border);
  at::Tensor wider = at::empty({weight.out_features(), weight.in_features + border}, options_);
  wider.narrow(1, 0, weight.in_features).copy_(weight.weight());
  wider.narrow(1, weight.in_features, border).zero_();
  weight.storage = std::move(wider);
}

int Baichuan::add_choice() {
  for (BaichuanLayer& layer : layers_) {
    for (BorderedWeight* linear : layer.linears()) linear->choices.emplace_back();
  }
  return choices_++;
}

void Baichuan::clear_choices() {
  for (BaichuanLayer& layer : layers_) {
    for (BorderedWeight* linear : layer.linears()) linear->choices.clear();
  }
  choices_ = 0;
}

at::Tensor Baichuan::prefill(const Pack& pack, const std::vector<int64_t>& rows,
                             const std::vector<int32_t>& sequence_of_segment,
                             std::vector<LayerCache>& cache) const {
  const at::NoGradGuard no_grad;
  check_segments(pack);
  const at::Tensor positions = position_tensor(pack.positions);
  const AttentionLayout layout(pack.segments, device());
  const CachePlacement placement = place_segments(pack.segments, sequence_of_segment, cache.at(0));
  return run_layers(embed(pack.tokens), layer_passes({}, adapter_of_row(pack), &rows),
                    index_tensor(rows), [&](size_t layer, const at::Tensor& qkv) {
                      return prefill_attention(qkv, positions, layout, config_.num_attention_heads,
                                               encoding_, placement, cache.at(layer));
                    });
}

at::Tensor Baichuan::decode(const std::vector<int64_t>& tokens,
                            const std::vector<int32_t>& sequences,
                            const std::vector<int32_t>& lengths, std::vector<LayerCache>& cache,
                            const std::vector<int32_t>& adapters) const {
  const at::NoGradGuard no_grad;
  require(adapters.empty() || adapters.size() == tokens.size(),
          "model: adapters must be one a token, ", tokens.size(), ", got ", adapters.size());
  const at::Tensor positions = position_tensor({lengths.begin(), lengths.end()});
  const CachePlacement placement = place_next_tokens(sequences, lengths, cache.at(0));
  return run_layers(embed(tokens), layer_passes({}, adapters, nullptr), {},
                    [&](size_t layer, const at::Tensor& qkv) {
                      return cached_attention(qkv, positions, config_.num_attention_heads,
                                              encoding_, placement, cache.at(layer));
                    });
}

std::vector<LayerCache> Baichuan::make_cache(int64_t sequences, int64_t capacity) const {
  std::vector<LayerCache> cache(layers_.size());
  for (LayerCache& layer : cache) {
    layer.keys = at::empty({sequences, capacity, config_.hidden_size}, options_);
    layer.values = at::empty_like(layer.keys);
  }
  return cache;
}

void Baichuan::normalise_head(int64_t first_row, const at::Tensor& rows) {
  // Rows that are normalised already stay as they are to the bit, so that a saved model loads as
  // itself. 1e-6 is some roundings of an fp32 norm.
  const at::Tensor exact = rows.to(device(), type() == at::kDouble ? at::kDouble : at::kFloat);
  at::Tensor norms = exact.norm(2, {1}).clamp_min(1e-12);
  norms = at::where((norms - 1.0).abs() <= 1e-6, 1.0, norms).to(norms.scalar_type());
  head_.normalised.narrow(0, first_row, rows.size(0)).copy_(exact / norms.unsqueeze(1));
  head_norms_.narrow(0, first_row, rows.size(0)).copy_(norms);
}

}  // namespace radgpt
