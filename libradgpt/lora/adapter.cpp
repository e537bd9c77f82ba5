#include "libradgpt/lora/adapter.h"

#include <torch/types.h>

#include <algorithm>
#include <cmath>

#include "kernels/primitives/adapter_inputs.h"
#include "libradgpt/base/error.h"
#include "libradgpt/lora/principal_part.h"
#include "libradgpt/lora/row_norms.h"
#include "libradgpt/model/random_tensor.h"
#include "libradgpt/ops/device_kernels.h"

namespace radgpt {

namespace {

// PiSSA's is saved with twice the rank, which must be one that loads.
int64_t highest_rank(Baichuan& model, const LoraOptions& options) {
  const ModelConfig& config = model.config();
  const int64_t widest = std::min(config.hidden_size, config.intermediate_size);
  const bool on_device = device_kernels(model.linear(0, LinearKind::kGateUp).storage) != nullptr;
  const int64_t highest = on_device ? std::min<int64_t>(kernels::kMostRank, widest) : widest;
  return options.start == LoraStart::kPissa ? highest / 2 : highest;
}

// Lengths of rows and singular values are those of whole weights.
void check_sharded(const LoraOptions& options) {
  require(!options.dora, options.source,
          ": lora.dora must be false with distributed.base: sharded, got true");
  require(options.start != LoraStart::kPissa, options.source,
          ": lora.init must be uniform with distributed.base: sharded, got pissa");
}

at::ScalarType sum_type(const at::Tensor& weight) {
  return at::promote_types(weight.scalar_type(), at::kFloat);
}

}  // namespace

Adapter::Adapter(Baichuan& model, const LoraOptions& options, ParameterStore& store)
    : model_(model),
      options_(options),
      store_(store),
      modules_(find_lora_modules(options, model.layers(), highest_rank(model, options))) {
  if (model.is_sharded()) check_sharded(options);
  for (const LoraModule& module : modules_) add_parameters(module);
}

Adapter::~Adapter() { disable(); }

BorderedWeight& Adapter::linear(const LoraModule& module) {
  return model_.linear(module.layer, module.target->kind);
}

/// The rows of the weight that a module is about.
at::Tensor Adapter::rows_of(size_t index) {
  const LoraPair& pair = pairs_[index];
  return linear(modules_[index]).weight().narrow(0, pair.row_begin, pair.row_end - pair.row_begin);
}

void Adapter::add_parameters(const LoraModule& module) {
  const BorderedWeight& weight = linear(module);
  require(!weight.master.defined(), "adapter: the model's weights must be frozen");
  const std::string name = concat(kPeftPrefix, module_name(module));
  const int64_t rows = weight.out_features() / module.target->parts;
  Numbers numbers;
  numbers.a = store_.add({name + ".lora_A.weight", {module.rank, weight.in_features}});
  numbers.b = store_.add({name + ".lora_B.weight", {rows, module.rank}, options_.loraplus_ratio});
  if (options_.dora) numbers.magnitude = store_.add({name + ".lora_magnitude_vector", {rows}});
  numbers_.push_back(numbers);
}

void Adapter::attach(uint64_t seed) {
  const at::NoGradGuard no_grad;
  require(pairs_.empty(), "adapter: attached twice");
  require_alone();
  for (size_t i = 0; i < modules_.size(); ++i) pairs_.push_back(make_pair(i));
  for (size_t i = 0; i < modules_.size(); ++i) fill(i, seed);
  if (options_.start == LoraStart::kPissa) start_from_base(seed);
  enable();
}

LoraPair Adapter::make_pair(size_t index) {
  const LoraModule& module = modules_[index];
  const BorderedWeight& weight = linear(module);
  const int64_t rows = weight.out_features() / module.target->parts;
  LoraPair pair{.a = at::empty({module.rank, weight.in_features}, model_.options()),
                .a_master = store_.master(numbers_[index].a),
                .b_master = store_.master(numbers_[index].b),
                .scale = module.scale,
                .dropout = options_.dropout,
                .module = module_number(module),
                .row_begin = module.target->part * rows,
                .row_end = (module.target->part + 1) * rows};
  // Modules of one linear stand side by side in its border.
  if (index > 0 && &linear(modules_[index - 1]) == &weight) {
    pair.column = pairs_[index - 1].column + modules_[index - 1].rank;
  }
  if (numbers_[index].magnitude) {
    pair.magnitude_master = store_.master(*numbers_[index].magnitude);
    pair.row_norms = at::empty_like(pair.magnitude_master.detach());
  }
  return pair;
}

void Adapter::fill(size_t index, uint64_t seed) {
  const LoraPair& pair = pairs_[index];
  fill_uniform(pair.a_master.detach(), {seed, kAdapterTensors + pair.module},
               1.0 / std::sqrt(static_cast<double>(linear(modules_[index]).in_features)));
  if (!pair.magnitude_master.defined()) return;
  write_row_norms(rows_of(index), pair, pair.row_norms);
  pair.magnitude_master.detach().copy_(pair.row_norms);
}

void Adapter::start_from_base(uint64_t seed) {
  std::vector<PrincipalPart> parts;
  for (size_t i = 0; i < modules_.size(); ++i) parts.push_back({rows_of(i), pairs_[i]});
  take_principal_parts(parts, seed);
  for (const LoraPair& pair : pairs_) {
    starts_.push_back({pair.a_master.detach().clone(), pair.b_master.detach().clone()});
  }
}

void Adapter::bind(size_t index) {
  const LoraPair& pair = pairs_[index];
  const Numbers& numbers = numbers_[index];
  store_.bind(numbers.a, pair.a);
  store_.bind(numbers.b, linear(modules_[index]).scaled_b(pair), ParameterStore::Binding::kCopy,
              pair.scale);
  if (numbers.magnitude) {
    store_.bind(*numbers.magnitude,
                [weight = rows_of(index), pair] { write_row_norms(weight, pair, pair.row_norms); });
  }
}

void Adapter::require_alone() {
  for (int layer = 0; layer < model_.layers(); ++layer) {
    for (const LoraTarget& target : kLoraTargets) {
      require(model_.linear(layer, target.kind).pairs.empty(),
              "adapter: the other adapter of the model must be disabled first, got one on ",
              target.name, " of layer ", layer);
    }
  }
}

void Adapter::enable() {
  const at::NoGradGuard no_grad;
  require(!pairs_.empty(), "adapter: enabled before it was attached");
  if (enabled_) return;
  require_alone();
  // All borders before any view of them, and the rightmost pair of a linear first: one copy each.
  for (size_t i = pairs_.size(); i-- > 0;) {
    const LoraModule& module = modules_[i];
    model_.make_border(module.layer, module.target->kind, pairs_[i].column + module.rank);
  }
  for (size_t i = 0; i < pairs_.size(); ++i) {
    bind(i);
    linear(modules_[i]).pairs.push_back(pairs_[i]);
  }
  store_.publish();
  enabled_ = true;
}

void Adapter::disable() {
  const at::NoGradGuard no_grad;
  if (!enabled_) return;
  for (size_t i = 0; i < pairs_.size(); ++i) {
    BorderedWeight& weight = linear(modules_[i]);
    weight.scaled_b(pairs_[i]).zero_();
    weight.pairs.clear();
    for (const size_t number : {numbers_[i].a, numbers_[i].b}) store_.unbind(number);
    if (numbers_[i].magnitude) store_.unbind(*numbers_[i].magnitude);
  }
  enabled_ = false;
}

void Adapter::merge() {
  const at::NoGradGuard no_grad;
  require(!pairs_.empty(), "adapter: merged before it was attached");
  require(!model_.is_sharded(), "adapter: merge must have all weights here, got a sharded base");
  disable();
  for (size_t i = 0; i < pairs_.size(); ++i) {
    const LoraPair& pair = pairs_[i];
    const at::Tensor rows = rows_of(i);
    // In place: two copies of the weight in fp32 at most.
    at::Tensor merged = pair.b_master.mm(pair.a_master).to(sum_type(rows));
    merged.mul_(pair.scale).add_(rows);
    if (pair.magnitude_master.defined()) {
      write_row_norms(rows, pair, pair.row_norms);
      merged *= (pair.magnitude_master / pair.row_norms).unsqueeze(1);
    }
    at::Tensor(rows).copy_(merged);
  }
  pairs_.clear();
}

}  // namespace radgpt
