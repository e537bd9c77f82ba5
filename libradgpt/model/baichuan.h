#pragma once

#include <ATen/core/Tensor.h>

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "libradgpt/base/pack.h"
#include "libradgpt/formats/model_config.h"
#include "libradgpt/ops/cached_attention.h"
#include "libradgpt/ops/head_cross_entropy.h"
#include "libradgpt/ops/lora_linear.h"
#include "libradgpt/ops/lora_pair.h"
#include "libradgpt/ops/parameter_store.h"
#include "libradgpt/ops/segment_attention.h"

namespace radgpt {

class Communicator;
class ShardedLayers;
struct KeptRows;

/// The linear layers that can carry adapters. gate_proj and up_proj are one layer, rows of gate
/// first, so that they are one product.
enum class LinearKind {
  kPackedQkv,        ///< W_pack  [3 hidden, hidden]: rows of q, k, v, each head-major
  kAttentionOutput,  ///< o_proj  [hidden, hidden]
  kGateUp,           ///< gate_proj over up_proj  [2 intermediate, hidden]
  kDown,             ///< down_proj  [hidden, intermediate]
};

/// One transformer layer.
struct BaichuanLayer {
  NormWeight attention_norm;
  BorderedWeight packed_qkv;
  BorderedWeight attention_output;
  NormWeight mlp_norm;
  BorderedWeight gate_up;
  BorderedWeight down;

  BorderedWeight& linear(LinearKind kind);
  std::array<BorderedWeight*, 4> linears();
};

/// The type that is fastest on a device: bfloat16 where it is multiplied natively (a GPU,
/// AVX512-BF16 or AMX), else float.
at::ScalarType native_type(at::Device device);

/// Told how many bytes of a model's weights are read, of how many: after every 64 MB, and at the
/// end unless there were fewer.
using LoadProgress = std::function<void(int64_t done, int64_t of)>;

/// What is made of a pack.
enum class PassKind {
  kForward,            ///< hidden states alone
  kForwardAndBackward  ///< and gradients
};

/// A CUDA device if there is one that ops can compute on (device_kernels.h), else the CPU.
at::Device native_device();

/// native_device() and its native_type, as Baichuan takes them: how this machine computes fastest.
at::TensorOptions native_options();

/// A Baichuan2 model (technical report arXiv 2309.10305) of the RoPE (7B) or ALiBi (13B) kind at
/// any size, as the official code computes it:
///
///   x = embedding[tokens]
///   per layer:  x += o_proj(attention(W_pack(rms_norm(x))))
///               x += down_proj(silu(gate_proj(rms_norm(x))) * up_proj(rms_norm(x)))
///   hidden = rms_norm(x)        logits = hidden * normalised(lm_head)^T
///
/// with the residual stream in the model's type, ALiBi bias, RoPE, softmax and means in fp32.
/// Weights are frozen unless add_parameters and bind_parameters were called; adapters attach to
/// the layers' BorderedWeights (libradgpt/lora/adapter.h). The output head is kept normalised
/// only, which is exact for inference and for training adapters.
///
/// Not copyable: adapters and parameter stores refer to its tensors. Const methods may not run
/// while weights change, but several may run at once.
///
/// A sharded base is one whose layers' linears are divided over the ranks of a run by rows; each
/// layer is gathered while the one before it computes, so a rank holds its share, two layers, and
/// embedding, norms and head whole. It computes the same bits. Whatever reads all layers (forward
/// and backward passes, prefill, decode, digest) is a verb of all ranks then: every rank must make
/// the same passes in the same order, or join them, and one at a time. Weights cannot be trained,
/// merged or saved.
class Baichuan {
 public:
  /// Allocates the weights, without values. `options` are type (kFloat, kBFloat16; kDouble for
  /// tests) and device; a GPU computes in bfloat16 only. `ranks`: over which to shard, to outlive
  /// the model; null or of one rank: all weights are here.
  Baichuan(const ModelConfig& config, const at::TensorOptions& options,
           Communicator* ranks = nullptr);
  ~Baichuan();
  Baichuan(const Baichuan&) = delete;
  Baichuan& operator=(const Baichuan&) = delete;

  /// Reads config.json and the weights (WeightFolder: safetensors or pytorch_model.bin, one file or
  /// shards with their index) of a folder in Hugging Face layout, straight into this model's
  /// memory, in the order of the files: the peak is the weights and a piece of 2 MB. Floating
  /// types are converted; `rotary_emb.inv_freq` tensors are skipped. Of a sharded base a rank reads
  /// its own rows alone, without waiting for others. Throws Error(kInput) naming file and tensor
  /// for a missing or unexpected tensor and for a wrong shape or type.
  static std::unique_ptr<Baichuan> load(const std::string& folder, const at::TensorOptions& options,
                                        const LoadProgress& progress = {},
                                        Communicator* ranks = nullptr);

  /// Fresh weights: normal(0, initializer_range), norms 1. A function of seed and shapes alone.
  void initialise(uint64_t seed);

  /// Writes config.json and safetensors in the model's type: model.safetensors, or shards of at
  /// most `max_shard_bytes` with model.safetensors.index.json. lm_head is written normalised:
  /// Baichuan2's NormHead maps it to itself, so the logits stay. Makes the folder if absent; the
  /// tokenizer is the caller's to copy. Throws Error(kEnvironment).
  void save(const std::string& folder, int64_t max_shard_bytes = 5'000'000'000) const;

  /// Hidden states after the final norm, [tokens, hidden] in the model's type. Row i predicts the
  /// token after tokens[i]. Gradients go to attached adapters, or to all masters once bound.
  ///
  /// While the key is active, NEFTune (Jain et al., arXiv 2310.05914) adds to the embeddings of a
  /// token numbers uniform in neftune_alpha / sqrt(L hidden) [-1, 1), L being the tokens of its
  /// segment and its prefix.
  at::Tensor forward(const Pack& pack, const DropoutKey& key) const;

  /// The hidden states of `rows` alone, [rows, hidden] in their order. Of the last layer only the
  /// attention's input is computed for the other tokens.
  at::Tensor forward(const Pack& pack, const DropoutKey& key,
                     const std::vector<int64_t>& rows) const;

  /// Of a sharded base: takes part in a pass that other ranks compute and for which this one has no
  /// pack, by gathering the same layers in the same order. Else nothing.
  ///
  /// In a step a rank with fewer packs than others joins first, before GradientReduction::begin,
  /// and computes then; and no gradient leaves before the last backward pass has ended (no
  /// GradientReduction::complete), since which are ready between two gathers may depend on the
  /// pack. So a step's gathers come before its exchanges on every rank. They move the base, and
  /// exchanges the gradients of an adapter, so little would be gained by doing both at once.
  void join_pass(PassKind kind) const;

  /// As forward without gradients or dropout, and fills `cache` (one entry a layer, allocated by
  /// make_cache): see prefill_attention.
  at::Tensor prefill(const Pack& pack, const std::vector<int64_t>& rows,
                     const std::vector<int32_t>& sequence_of_segment,
                     std::vector<LayerCache>& cache) const;

  /// Hidden states [sequences.size(), hidden] of one new token per listed sequence, of which
  /// lengths[i] tokens are cached; the new one becomes entry lengths[i] at position lengths[i].
  /// `adapters` as Pack::adapters, one a token.
  at::Tensor decode(const std::vector<int64_t>& tokens, const std::vector<int32_t>& sequences,
                    const std::vector<int32_t>& lengths, std::vector<LayerCache>& cache,
                    const std::vector<int32_t>& adapters = {}) const;

  /// Room for `sequences` sequences of `capacity` tokens: 4 * layers * hidden bytes a token in
  /// bf16.
  std::vector<LayerCache> make_cache(int64_t sequences, int64_t capacity) const;

  const ModelConfig& config() const { return config_; }
  at::ScalarType type() const { return c10::typeMetaToScalarType(options_.dtype()); }
  at::Device device() const { return options_.device(); }
  /// Type and device of the weights.
  const at::TensorOptions& options() const { return options_; }
  const HeadWeight& head() const { return head_; }
  int layers() const { return static_cast<int>(layers_.size()); }
  bool is_sharded() const { return sharded_ != nullptr; }
  BorderedWeight& linear(int layer, LinearKind kind) { return layers_.at(layer).linear(kind); }
  /// Gives a linear a border of at least so many columns, zeros, by copying it into a wider buffer.
  void make_border(int layer, LinearKind kind, int64_t columns);
  /// Makes room for one more adapter that rows may choose (BorderedWeight::choices), and returns
  /// its number.
  int add_choice();
  /// Takes all of them away.
  void clear_choices();

  /// Full-parameter training, first half: adds every weight to `store` under its Hugging Face
  /// name (gate_proj and up_proj as one, `mlp.gate_up_proj.weight`). The head is trained through
  /// its normalisation.
  void add_parameters(ParameterStore& store);
  /// Second half, after store.allocate(): masters take the weights' values, and the weights
  /// follow the masters from then on. The model must outlive the store's last publish.
  void bind_parameters(ParameterStore& store);

  /// All weights in the order of named_tensors: views where a weight has a border or shares a
  /// product. lm_head is the normalised one. Throws Error for a sharded base.
  std::vector<at::Tensor> tensors() const;

  /// SHA-256 over all weights in the order of the file, as they are in memory: names the base in
  /// manifests. Borders are left out.
  std::string digest() const;

  /// SHA-256 over the signs of 64 or more rows of embedding and head, which no rounding changes: a
  /// base of another fingerprint is another base, in whatever type either was stored or loaded. One
  /// that differs in its layers alone, as after merging an adapter, has the same.
  std::string fingerprint() const;

 private:
  /// What linears are told: all tokens, and those that go on behind the last attention.
  struct LayerPasses {
    LoraPass all;
    LoraPass selected;
  };
  struct Trained {
    std::string name;
    at::Tensor weight;
    at::Tensor* master;
  };

  std::vector<Trained> trained();
  void require_whole(const char* what) const;
  std::vector<at::Tensor> layer_tensors(const BaichuanLayer& layer) const;
  std::vector<KeptRows> kept_rows() const;
  int lowest_with_gradients() const;
  at::Tensor index_tensor(const std::vector<int64_t>& values) const;
  // Checks positions where RoPE's tables end: on a GPU nothing else does.
  at::Tensor position_tensor(const std::vector<int64_t>& positions) const;
  at::Tensor embed(const std::vector<int64_t>& tokens) const;
  LayerPasses layer_passes(const DropoutKey& key, const std::vector<int32_t>& adapters,
                           const std::vector<int64_t>* rows) const;
  at::Tensor forward_rows(const Pack& pack, const DropoutKey& key,
                          const std::vector<int64_t>* rows) const;
  template <typename Attention>
  at::Tensor run_layers(at::Tensor x, const LayerPasses& passes, const at::Tensor& rows,
                        Attention attention) const;
  void normalise_head(int64_t first_row, const at::Tensor& rows);

  ModelConfig config_;
  at::TensorOptions options_;
  at::Tensor embedding_;
  at::Tensor embedding_master_;
  std::vector<BaichuanLayer> layers_;
  NormWeight final_norm_;
  HeadWeight head_;
  at::Tensor head_norms_;
  PositionEncoding encoding_;
  std::vector<size_t> parameters_;
  int choices_ = 0;
  std::unique_ptr<ShardedLayers> sharded_;  ///< null: all weights are here
};

}  // namespace radgpt
