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
      const at::Tensor master = store.master(i).detach();
      ReferencePair& pair = reference.pairs[name.substr(0, end)];
      const auto leaf = [&] { return master.to(at::kDouble).clone().set_requires_grad(true); };
      switch (name[end + 6]) {
        case 'A':
          pair.a = leaf();
          pair.scale = scale_of(name.substr(0, end), static_cast<double>(master.size(0)));
          break;
        case 'B':
          master.normal_(0, 0.3);
          pair.b = leaf();
          break;
        default:  // the magnitudes, at first the lengths of rows
          master.mul_(1 + 0.2 * at::randn_like(master));
          pair.magnitude = leaf();
      }
    }
    store.publish();
  }

  double scale_of(const std::string& module, double rank) const {
    double alpha = adapter->options().alpha;
    for (const auto& [end, value] : adapter->options().alpha_pattern) {
      if (module.ends_with(end.substr(end.find('^') + 1))) alpha = value;
    }
    return alpha / (adapter->options().rslora ? std::sqrt(rank) : rank);
  }

  at::Tensor hidden() const { return model->forward(single_pack(kReport), {}); }
};

/// Scale 4, which rounds nothing.
inline LoraOptions all_targets(int64_t rank) {
  return {.rank = rank, .alpha = 4.0 * static_cast<double>(rank), .dropout = 0, .targets = {"all"}};
}

}  // namespace radgpt
