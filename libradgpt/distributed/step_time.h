#pragma once

#include <cstdint>

#include "libradgpt/distributed/gradient_reduction.h"

namespace radgpt {

/// What a step of a rank takes without any other rank, in seconds.
struct StepWork {
  double pack = 0;             ///< forward and backward pass of one pack
  int64_t packs = 1;           ///< of the global batch
  int64_t gradient_bytes = 0;  ///< 4 for each trained parameter
  bool overlaps = true;        ///< they leave during the last pass: not with a sharded base
};

/// What carries messages between ranks.
struct Network {
  double bytes_per_second = 0;  ///< that each rank sends while it receives as many, all at once
  double message_seconds = 0;   ///< from a call until the first byte of a small message is there
};

/// What a step is made of, in seconds.
struct StepTime {
  double compute = 0;    ///< of the rank with most packs
  double exchange = 0;   ///< of shards of gradients
  double gather = 0;     ///< of the summed shards
  double hidden = 0;     ///< part of these two that goes on while the last backward pass does
  double agreement = 0;  ///< gather of losses and wishes

  double total() const { return compute + exchange + gather - hidden + agreement; }
};

/// Predicts a step of `ranks` ranks as GradientReduction does it: with G bytes of gradient in B
/// blocks, W ranks, s subtrees a rank (1 where packs and ranks are powers of two), bandwidth b and
/// latency l
///
///   exchange   s G (W - 1) / (W b) + B (W - 1) l      messages to every other rank
///   gather     G (W - 1) / (W b) + B (W - 1) l        a ring
///   agreement  (W - 1) l                              a ring
///   hidden     the exchange of all blocks but the last and the gather of all but the last three,
///              as far as they fit into the last backward pass, which with a frozen base takes 0.6
///              of a pack (two products of 3.3)
///
/// kAllreduce moves the same bytes; what the order costs is s. Left out: norm and AdamW, ranks that
/// are slower than others, evaluation, checkpoints.
StepTime predict_step(const StepWork& work, const Network& network, int ranks);

}  // namespace radgpt
