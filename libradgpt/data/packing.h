#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "libradgpt/base/pack.h"
#include "libradgpt/data/token_dataset.h"

namespace radgpt {

/// How examples of one report are laid out.
enum class Sharing {
  kShared,  ///< the prefix of a group is computed once, its examples are branches
  kPacked,  ///< every example stands alone in its pack
};

/// How an epoch is divided into packs.
struct PackingOptions {
  int32_t pack_tokens = 4096;  ///< most tokens of a pack: bounds the memory of a step
  Sharing sharing = Sharing::kShared;
  uint64_t seed = 0;  ///< of the order
};

/// The examples of one pack in their order, before any token is copied.
struct PackPlan {
  std::vector<int32_t> examples;
  int32_t tokens = 0;
};

/// Divides an epoch into packs: every example exactly once and whole, none above `pack_tokens`.
///
/// Units (a group under kShared, else an example) come in an order that is a function of (seed,
/// epoch) alone and are put first-fit into a bounded number of open packs. A group that is longer
/// than a pack is divided, each part with the prefix of its own.
/// Throws Error(kInput) if an example alone is longer than `pack_tokens`.
std::vector<PackPlan> plan_epoch(const TokenDataset& dataset, const PackingOptions& options,
                                 int64_t epoch);

/// plan_epoch, with the tokens.
std::vector<Pack> pack_epoch(const TokenDataset& dataset, const PackingOptions& options,
                             int64_t epoch);

/// One pack of the given examples in their order, of any size. Under kShared neighbours of one
/// group share its prefix; a prefix with a single branch makes one plain segment with it.
Pack pack_examples(const TokenDataset& dataset, std::span<const int32_t> examples, Sharing sharing);

/// As pack_examples, but each branch ends with its assistant token: what generation starts from.
/// No rows have targets.
Pack pack_prompts(const TokenDataset& dataset, std::span<const int32_t> examples, Sharing sharing);

}  // namespace radgpt
