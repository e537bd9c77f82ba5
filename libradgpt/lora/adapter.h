#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "libradgpt/lora/lora_options.h"
#include "libradgpt/lora/targets.h"
#include "libradgpt/model/baichuan.h"
#include "libradgpt/ops/parameter_store.h"

namespace radgpt {

/// LoRA (Hu et al., arXiv 2106.09685): W + scale * B A for every targeted linear of every layer,
/// with DoRA's lengths of rows if asked for.
///
/// Its numbers are fp32 masters in a ParameterStore; the model computes with copies in its own
/// type, scale * B in the border of the weight. Use, in this order:
///
///   ParameterStore store;
///   Adapter adapter(model, options, store);
///   store.allocate();
///   adapter.attach(seed);
///
/// Model and store must outlive the adapter. A model may have several adapters, each with a store
/// of its own, of which one is enabled at a time; for more at once see AdapterSet.
class Adapter {
 public:
  /// Adds A [rank, in], B [out, rank] and DoRA's magnitude [out] of every module to `store`, under
  /// PEFT's names. Throws Error(kInput) as find_lora_modules does, and for DoRA and
  /// LoraStart::kPissa on a sharded base.
  Adapter(Baichuan& model, const LoraOptions& options, ParameterStore& store);
  /// Takes the pairs off the model. With LoraStart::kPissa the base stays without what the adapter
  /// started from; load it anew to use it.
  ~Adapter();
  Adapter(const Adapter&) = delete;
  Adapter& operator=(const Adapter&) = delete;

  /// After store.allocate(): gives A, B and magnitudes their first values, each element a function
  /// of seed, layer, target and its place alone (and, with LoraStart::kPissa, of the base, which
  /// changes), and enables. No other adapter may be enabled.
  void attach(uint64_t seed);

  /// On: makes the borders where they are too narrow (each such weight is copied once into a wider
  /// buffer, so a model without adapter pays nothing) and publishes the store into them. Off: the
  /// model computes as if there were no adapter, at the cost of the frozen model; with
  /// LoraStart::kPissa as the base without what the adapter started from.
  void enable();
  void disable();
  bool enabled() const { return enabled_; }

  /// Writes adapter_config.json and adapter_model.safetensors (fp32) as PEFT lays them out; the
  /// same state gives the same bytes. `base` goes into base_model_name_or_path, the model's
  /// fingerprint into the metadata of the tensors. Parameters of the store that belong to a head
  /// are written too and listed in modules_to_save. With LoraStart::kPissa what is written is the
  /// plain adapter of twice the rank that makes the base as it was the trained model. Makes the
  /// folder if absent. Throws Error(kEnvironment).
  void save(const std::string& folder, const std::string& base) const;

  /// Reads adapter_model.safetensors, or adapter_model.bin, into the store's masters and publishes
  /// them. The file must have exactly the store's parameters, and no fingerprint of another base.
  /// Throws Error(kInput) naming the first missing or unexpected key, or the one with another shape
  /// or type.
  void load(const std::string& folder);

  /// W += scale * B A for every pair, with DoRA's lengths, computed in fp32 from the masters and
  /// rounded once to the model's type; the adapter is off for good. In bf16 the rounding loses part
  /// of an update that is much smaller than the weight: compare logits.
  void merge();

  const LoraOptions& options() const { return options_; }
  /// Its pairs, once attached, in the order of modules().
  const std::vector<LoraPair>& pairs() const { return pairs_; }
  const std::vector<LoraModule>& modules() const { return modules_; }

 private:
  /// Where a module's numbers are in the store.
  struct Numbers {
    size_t a = 0;
    size_t b = 0;
    std::optional<size_t> magnitude;
  };
  /// What a module started from and was taken out of the base.
  struct Start {
    at::Tensor a;
    at::Tensor b;
  };

  BorderedWeight& linear(const LoraModule& module);
  at::Tensor rows_of(size_t index);
  void add_parameters(const LoraModule& module);
  void require_alone();
  LoraPair make_pair(size_t index);
  void fill(size_t index, uint64_t seed);
  void start_from_base(uint64_t seed);
  void bind(size_t index);
  std::vector<std::string> modules_of_heads() const;

  Baichuan& model_;
  LoraOptions options_;
  ParameterStore& store_;
  std::vector<LoraModule> modules_;
  std::vector<Numbers> numbers_;  ///< one a module
  std::vector<LoraPair> pairs_;   ///< one a module, once attached
  std::vector<Start> starts_;     ///< one a module with LoraStart::kPissa, else none
  bool enabled_ = false;
};

/// The adapter of a folder on `model`, ready to compute; `store` must be fresh. To train a head's
/// parameters or to load them, do the steps above one by one instead.
std::unique_ptr<Adapter> load_adapter(Baichuan& model, const std::string& folder,
                                      ParameterStore& store);

}  // namespace radgpt
