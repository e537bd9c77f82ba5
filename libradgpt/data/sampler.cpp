#include "libradgpt/data/sampler.h"

#include <algorithm>

#include "libradgpt/base/error.h"

namespace radgpt {

Sampler::Sampler(const TokenDataset& dataset, const PackingOptions& options, int32_t packs_per_step)
    : dataset_(&dataset), options_(options), packs_per_step_(packs_per_step) {
  require(dataset.size() > 0, "sampler: there must be examples to train on, got none");
  require(packs_per_step >= 1, "sampler: packs_per_step must be at least 1, got ", packs_per_step);
  plan_ = plan_epoch(dataset, options, state_.epoch);
}

int64_t Sampler::steps_of(const std::vector<PackPlan>& plan) const {
  return (static_cast<int64_t>(plan.size()) + packs_per_step_ - 1) / packs_per_step_;
}

std::vector<Pack> Sampler::next() {
  const auto first = static_cast<size_t>(state_.position * packs_per_step_);
  const size_t last = std::min(first + static_cast<size_t>(packs_per_step_), plan_.size());
  std::vector<Pack> packs;
  for (size_t i = first; i < last; ++i) {
    packs.push_back(pack_examples(*dataset_, plan_[i].examples, options_.sharing));
  }
  if (++state_.position == steps_of(plan_)) {
    state_ = {state_.epoch + 1, 0};
    plan_ = plan_epoch(*dataset_, options_, state_.epoch);
  }
  return packs;
}

void Sampler::restore(const SamplerState& state) {
  require(state.epoch >= 0, "sampler: epoch must be at least 0, got ", state.epoch);
  std::vector<PackPlan> plan = plan_epoch(*dataset_, options_, state.epoch);
  require(state.position >= 0 && state.position < steps_of(plan),
          "sampler: position must be a step of epoch ", state.epoch, ", which has ", steps_of(plan),
          ", got ", state.position);
  plan_ = std::move(plan);
  state_ = state;
}

int64_t Sampler::steps_in_epoch(int64_t epoch) const {
  return steps_of(plan_epoch(*dataset_, options_, epoch));
}

}  // namespace radgpt
