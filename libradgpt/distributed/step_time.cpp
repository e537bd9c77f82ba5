#include "libradgpt/distributed/step_time.h"

#include <algorithm>

namespace radgpt {

StepTime predict_step(const StepWork& work, const Network& network, int ranks) {
  const PackRange most = packs_of_rank(work.packs, 0, ranks);
  StepTime time;
  time.compute = static_cast<double>(most.size()) * work.pack;
  if (ranks == 1) return time;
  size_t subtrees = 0;
  for (int rank = 0; rank < ranks; ++rank) {
    subtrees = std::max(subtrees, subtree_levels(packs_of_rank(work.packs, rank, ranks)).size());
  }
  const int64_t block_bytes = reduction_block(ranks) * static_cast<int64_t>(sizeof(float));
  const auto blocks = static_cast<double>(
      std::max<int64_t>(1, (work.gradient_bytes + block_bytes - 1) / block_bytes));
  const double peers = ranks - 1;
  const double sent = static_cast<double>(work.gradient_bytes) * peers / ranks;
  const double latency = blocks * peers * network.message_seconds;
  time.exchange = static_cast<double>(subtrees) * sent / network.bytes_per_second + latency;
  time.gather = sent / network.bytes_per_second + latency;
  time.agreement = peers * network.message_seconds;
  // The last block is complete when the pass ends; gathers come behind.
  constexpr double kBackwardShare = 0.6, kBehind = 1 + GradientReduction::kBlocksUnderWay;
  const double exchanges = time.exchange * (blocks - 1) / blocks;
  const double gathers = time.gather * std::max(0.0, blocks - kBehind) / blocks;
  if (work.overlaps) time.hidden = std::min(exchanges + gathers, kBackwardShare * work.pack);
  return time;
}

}  // namespace radgpt
