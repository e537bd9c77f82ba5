#pragma once

#include <torch/types.h>

#include <cmath>
#include <memory>
#include <string>

#include "libradgpt/lora/adapter.h"
#include "tests/base/temporary_folder.h"
#include "tests/device/test_type.h"
#include "tests/model/reference_model.h"
#include "tests/model/small_packs.h"

namespace radgpt {

inline const Tokens kReport = {195, 17, 42, 105, 3, 66, 17, 99};

/// A small model with an adapter, and the plain model with the same weights.
struct Adapted {
  std::unique_ptr<Baichuan> model;
  ReferenceModel reference;
  ParameterStore store;
  std::unique_ptr<Adapter> adapter;

  explicit Adapted(const LoraOptions& options, at::ScalarType type = test_type(),
                   PositionKind position = PositionKind::kAlibi, uint64_t seed = 1) {
    const TemporaryFolder folder;
    const ModelConfig config = small_config(position);
    reference = {config, random_weights(config), {}};
    write_model_folder(folder.path(), config, reference.weights);
    model = Baichuan::load(folder.path(), type);
    adapter = std::make_unique<Adapter>(*model, options, store);
    store.allocate();
    adapter->attach(seed);
  }

  /// B away from zero, and the same pairs in the reference as leaves.
  void fill() {
    at::manual_seed(11);
    for (size_t i = 0; i < store.size(); ++i) {
      std::string name = store.spec(i).name.substr(std::string("base_model.model.").size());
      const size_t end = name.find(".lora_");
      const bool is_a = name[end + 6] == 'A';
      if (!is_a) store.master(i).detach().normal_(0, 0.3);
      ReferencePair& pair = reference.pairs[name.substr(0, end)];
      (is_a ? pair.a : pair.b) =
          store.master(i).detach().to(at::kDouble).clone().set_requires_grad(true);
      const double rank = static_cast<double>(adapter->options().rank);
      pair.scale = adapter->options().alpha / (adapter->options().rslora ? std::sqrt(rank) : rank);
    }
    store.publish();
  }

  at::Tensor hidden() const { return model->forward(single_pack(kReport), {}); }
};

/// Scale 4, which rounds nothing.
inline LoraOptions all_targets(int64_t rank) {
  return {.rank = rank, .alpha = 4.0 * static_cast<double>(rank), .dropout = 0, .targets = {"all"}};
}

}  // namespace radgpt
