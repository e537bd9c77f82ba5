#pragma once

#include <cstdint>
#include <vector>

#include "libradgpt/data/packing.h"

namespace radgpt {

/// Where a sampler stands; all that a resume needs beside data set and options.
struct SamplerState {
  int64_t epoch = 0;
  int64_t position = 0;  ///< steps already given in this epoch

  bool operator==(const SamplerState&) const = default;
};

/// Gives the global batches of one epoch after the other. A batch is a fixed list of packs, the
/// same whoever computes them; the last one of an epoch may be shorter, none crosses an epoch.
/// The data set must outlive the sampler.
class Sampler {
 public:
  /// Throws Error(kInput) for an empty data set, and as plan_epoch.
  Sampler(const TokenDataset& dataset, const PackingOptions& options, int32_t packs_per_step);

  /// The packs of the next step.
  std::vector<Pack> next();
  /// After the last step of an epoch: position 0 of the next one.
  SamplerState state() const { return state_; }
  /// Goes on as if `state` had been reached by next(). Throws Error(kInput) for a position that
  /// the epoch does not have.
  void restore(const SamplerState& state);
  /// Number of steps in an epoch; differs a little between epochs.
  int64_t steps_in_epoch(int64_t epoch) const;

 private:
  int64_t steps_of(const std::vector<PackPlan>& plan) const;

  const TokenDataset* dataset_;
  PackingOptions options_;
  int32_t packs_per_step_;
  SamplerState state_;
  std::vector<PackPlan> plan_;
};

}  // namespace radgpt
