#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "libradgpt/model/baichuan.h"
#include "libradgpt/ops/parameter_store.h"

namespace radgpt {

/// What an adapter is made of; the fields of adapter_config.json that change what it computes.
struct LoraOptions {
  int64_t rank = 8;
  double alpha = 16;
  double dropout = 0.05;
  /// Any of W_pack, o_proj, gate_proj, up_proj, down_proj; `all` stands for the five.
  std::vector<std::string> targets = {"W_pack"};
  bool rslora = false;  ///< scale alpha / sqrt(rank) (arXiv 2312.03732) instead of alpha / rank
};

/// LoRA (Hu et al., arXiv 2106.09685): W + scale * B A for every targeted linear of every layer.
///
/// Its numbers are fp32 masters in a ParameterStore; the model computes with copies in its own
/// type, scale * B in the border of the weight. Use, in this order:
///
///   ParameterStore store;
///   Adapter adapter(model, options, store);
///   store.allocate();
///   adapter.attach(seed);
///
/// Model and store must outlive the adapter. One adapter a model.
class Adapter {
 public:
  /// Adds A [rank, in] and B [out, rank] of every pair to `store`, under PEFT's names. Throws
  /// Error(kInput) for an unknown target or a rank below 1.
  Adapter(Baichuan& model, const LoraOptions& options, ParameterStore& store);
  /// Takes the pairs off the model.
  ~Adapter();
  Adapter(const Adapter&) = delete;
  Adapter& operator=(const Adapter&) = delete;

  /// After store.allocate(): A ~ U(-1/sqrt(in), 1/sqrt(in)), B = 0, each element a function of
  /// seed, layer, target and its place alone; then makes the borders (each targeted weight is
  /// copied once into a wider buffer, so a model without adapter pays nothing), and enables.
  void attach(uint64_t seed);

  /// Off: the model computes as if there were no adapter, at the cost of the frozen model.
  void enable();
  void disable();
  bool enabled() const { return enabled_; }

  /// Writes adapter_config.json and adapter_model.safetensors (fp32) as PEFT lays them out; the
  /// same state gives the same bytes. `base` goes into base_model_name_or_path. Parameters of the
  /// store that belong to a head are written too and listed in modules_to_save. Makes the folder
  /// if absent. Throws Error(kEnvironment).
  void save(const std::string& folder, const std::string& base) const;

  /// Reads adapter_model.safetensors into the store's masters and publishes them. The file must
  /// have exactly the store's parameters. Throws Error(kInput) naming the first missing or
  /// unexpected key, or the one with another shape or type.
  void load(const std::string& folder);

  /// W += scale * B A for every pair, computed in fp32 from the masters and rounded once to the
  /// model's type; borders become zero and the adapter is off for good. The store must not be
  /// published afterwards. In bf16 the rounding loses part of an update that is much smaller than
  /// the weight: compare logits.
  void merge();

  const LoraOptions& options() const { return options_; }

 private:
  struct Place {
    int layer = 0;
    int target = 0;      ///< index in kLoraTargets
    int64_t column = 0;  ///< in the border of the linear
    size_t a = 0;        ///< index in the store
    size_t b = 0;
  };

  BorderedWeight& linear(const Place& place);
  void add_place(int layer, int target);
  LoraPair make_pair(const Place& place, uint64_t seed);
  std::vector<std::string> modules_of_heads() const;

  Baichuan& model_;
  LoraOptions options_;
  ParameterStore& store_;
  std::vector<Place> places_;
  std::vector<LoraPair> pairs_;  ///< one a place, once attached
  bool enabled_ = false;
};

/// Options in `folder`/adapter_config.json. Throws Error(kInput) naming the key for a file that
/// asks for something an Adapter does not compute (use_dora, rank_pattern, bias, …).
LoraOptions read_lora_options(const std::string& folder);

/// The adapter of a folder on `model`, ready to compute; `store` must be fresh. To train a head's
/// parameters or to load them, do the steps above one by one instead.
std::unique_ptr<Adapter> load_adapter(Baichuan& model, const std::string& folder,
                                      ParameterStore& store);

}  // namespace radgpt
