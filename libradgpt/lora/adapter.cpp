#include "libradgpt/lora/adapter.h"

#include <torch/types.h>

#include <algorithm>
#include <cmath>

#include "kernels/primitives/adapter_inputs.h"
#include "libradgpt/base/error.h"
#include "libradgpt/lora/targets.h"
#include "libradgpt/model/random_tensor.h"
#include "libradgpt/ops/device_kernels.h"

namespace radgpt {

namespace {

double scale_of(const LoraOptions& options) {
  const double rank = static_cast<double>(options.rank);
  return options.alpha / (options.rslora ? std::sqrt(rank) : rank);
}

// Room for `columns` more border columns behind those of the pairs already there.
void make_room(BorderedWeight& linear, int64_t columns) {
  const int64_t border = (columns + kBorderTile - 1) / kBorderTile * kBorderTile;
  if (linear.border() >= border) return;
  at::Tensor wider =
      at::empty({linear.out_features(), linear.in_features + border}, linear.storage.options());
  wider.narrow(1, 0, linear.in_features).copy_(linear.weight());
  wider.narrow(1, linear.in_features, border).zero_();
  linear.storage = std::move(wider);
}

}  // namespace

Adapter::Adapter(Baichuan& model, const LoraOptions& options, ParameterStore& store)
    : model_(model), options_(options), store_(store) {
  const int64_t widest = model.config().hidden_size;
  require(options.rank >= 1 && options.rank <= widest, "adapter: rank must be in [1, ", widest,
          "], the model's hidden size, got ", options.rank);
  const bool on_device = device_kernels(model.linear(0, LinearKind::kGateUp).storage) != nullptr;
  require(!on_device || options.rank <= kernels::kMostRank, "adapter: rank must be in [1, ",
          kernels::kMostRank, "] on a GPU, got ", options.rank);
  const std::vector<int> targets = find_lora_targets(options.targets);
  options_.targets.clear();
  for (const int target : targets) options_.targets.emplace_back(kLoraTargets[target].name);
  for (int layer = 0; layer < model.layers(); ++layer) {
    for (const int target : targets) add_place(layer, target);
  }
}

Adapter::~Adapter() { disable(); }

BorderedWeight& Adapter::linear(const Place& place) {
  return model_.linear(place.layer, kLoraTargets[place.target].kind);
}

void Adapter::add_place(int layer, int target) {
  Place place{.layer = layer, .target = target};
  const BorderedWeight& weight = linear(place);
  require(weight.pairs.empty() && !weight.master.defined(),
          "adapter: the model's weights must be frozen and without another adapter");
  // gate_proj and up_proj stand side by side in the border of the linear they share.
  if (!places_.empty() && &linear(places_.back()) == &weight) place.column = options_.rank;
  const LoraTarget& facts = kLoraTargets[target];
  const std::string name = concat("base_model.model.model.layers.", layer, ".", facts.path);
  place.a = store_.add({name + ".lora_A.weight", {options_.rank, weight.in_features}});
  place.b =
      store_.add({name + ".lora_B.weight", {weight.out_features() / facts.parts, options_.rank}});
  places_.push_back(place);
}

void Adapter::attach(uint64_t seed) {
  const at::NoGradGuard no_grad;
  require(pairs_.empty(), "adapter: attached twice");
  // All borders before any view of them, and the rightmost pair of a linear first: one copy each.
  for (auto place = places_.rbegin(); place != places_.rend(); ++place) {
    make_room(linear(*place), place->column + options_.rank);
  }
  for (const Place& place : places_) pairs_.push_back(make_pair(place, seed));
  store_.publish();
  enable();
}

LoraPair Adapter::make_pair(const Place& place, uint64_t seed) {
  const BorderedWeight& weight = linear(place);
  const LoraTarget& facts = kLoraTargets[place.target];
  const int64_t rows = weight.out_features() / facts.parts;
  const auto module =
      static_cast<uint32_t>(place.layer * kLoraTargets.size() + static_cast<size_t>(place.target));
  LoraPair pair{.a = at::empty({options_.rank, weight.in_features}, model_.options()),
                .a_master = store_.master(place.a),
                .b_master = store_.master(place.b),
                .scale = scale_of(options_),
                .dropout = options_.dropout,
                .module = module,
                .row_begin = facts.part * rows,
                .row_end = (facts.part + 1) * rows,
                .column = place.column};
  fill_uniform(pair.a_master.detach(), {seed, kAdapterTensors + module},
               1.0 / std::sqrt(static_cast<double>(weight.in_features)));
  store_.bind(place.a, pair.a);
  store_.bind(place.b, weight.scaled_b(pair), ParameterStore::Binding::kCopy, pair.scale);
  return pair;
}

void Adapter::enable() {
  require(!pairs_.empty(), "adapter: enabled before it was attached");
  if (enabled_) return;
  for (size_t i = 0; i < places_.size(); ++i) linear(places_[i]).pairs.push_back(pairs_[i]);
  enabled_ = true;
}

void Adapter::disable() {
  if (!enabled_) return;
  for (const Place& place : places_) linear(place).pairs.clear();
  enabled_ = false;
}

void Adapter::merge() {
  const at::NoGradGuard no_grad;
  require(!pairs_.empty(), "adapter: merged before it was attached");
  disable();
  for (size_t i = 0; i < places_.size(); ++i) {
    const LoraPair& pair = pairs_[i];
    BorderedWeight& target = linear(places_[i]);
    const at::Tensor rows =
        target.weight().narrow(0, pair.row_begin, pair.row_end - pair.row_begin);
    const at::Tensor update = pair.b_master.mm(pair.a_master) * pair.scale;
    rows.copy_(rows.to(at::promote_types(rows.scalar_type(), at::kFloat)) + update);
    target.scaled_b(pair).zero_();
  }
  pairs_.clear();
}

}  // namespace radgpt
