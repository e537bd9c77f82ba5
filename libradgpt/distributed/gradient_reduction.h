#pragma once

#include <ATen/core/Tensor.h>

#include <algorithm>
#include <cstdint>
#include <vector>

#include "libradgpt/distributed/communicator.h"
#include "libradgpt/distributed/ordered_sum.h"

namespace radgpt {

/// How the ranks' gradients are added up.
enum class ReductionOrder {
  kOrdered,   ///< in the tree over all packs of the step: the same bits for any number of ranks
  kAllreduce  ///< in an order of c10d's own, which depends on the number of ranks
};

/// Elements of the flat gradient that travel together: 1 MiB, or what makes shards of 64 KiB, so
/// that many ranks do not send many small messages.
inline int64_t reduction_block(int ranks) {
  return std::max(int64_t{1} << 18, static_cast<int64_t>(ranks) << 14);
}

/// Adds up the gradients of a step over all its packs and all ranks, block by block of the flat
/// gradient, last block first, which is the order in which a backward pass completes them. In the
/// backward pass of a rank's last pack a block leaves as soon as all its parameters have their
/// gradient, so that it travels while the pass goes on; and so does the sum of the block that left
/// kBlocksUnderWay before it, which has had time to arrive.
///
///   exchange   shard r of a block goes to rank r, of each whole subtree of packs that a rank has
///              (one, where packs and ranks are powers of two)
///   sum        rank r adds its shard of all subtrees in the order of OrderedSum
///   gather     every rank gets all shards
///
/// With one subtree a rank that is the traffic of an all-reduce, 2 (size - 1) / size gradients.
/// kAllreduce adds up a rank's own packs in order, and the ranks by Communicator::sum.
///
/// Memory beside OrderedSum's, with several ranks: a gradient for each subtree that is sent and 1 /
/// size of one for each that is received, of all ranks; in their place, as they are added up, one
/// for the gathered sum.
class GradientReduction {
 public:
  /// Blocks that leave before the first of them is added up.
  static constexpr size_t kBlocksUnderWay = 2;

  /// Where a parameter lies.
  struct Parameter {
    int64_t begin = 0;  ///< its elements of the flat gradient
    int64_t end = 0;
  };

  /// `flat_gradient` [elements] fp32 is where backward passes add up and where the sum is left;
  /// `parameters` cover it in order. The communicator must outlive this.
  GradientReduction(Communicator& communicator, at::Tensor flat_gradient,
                    std::vector<Parameter> parameters, ReductionOrder order, int64_t block);

  /// A new step of `packs` packs, of which this rank computes the result, one after the other.
  PackRange begin(int64_t packs);
  /// The gradient of a parameter, by number, is complete in the backward pass of the pack at hand.
  void complete(size_t parameter);
  /// So is the whole gradient of that pack. The next pack's may overwrite it.
  void add();
  /// Leaves the sum over all packs in the flat gradient, with the same bits on every rank.
  void finish();

 private:
  struct Block {
    int64_t begin = 0;
    int64_t end = 0;
    size_t parameters = 0;     ///< that lie in it
    OrderedSum own = {};       ///< packs of the subtree at hand
    size_t missing = 0;        ///< parameters without gradient in this backward pass
    bool added = false;        ///< the pack at hand is in `own`
    at::Tensor sent = {};      ///< [size, own subtrees, shard]
    at::Tensor received = {};  ///< [subtrees of all ranks, shard]
    at::Tensor all = {};       ///< [size, shard]
    Transfer transfer = {};
  };

  bool is_alone() const { return communicator_.size() == 1; }
  bool is_last_pack() const { return done_ + 1 == own_.size(); }
  const std::vector<int>& own_subtrees() const { return subtrees_[communicator_.rank()]; }
  int64_t shard(const Block& block) const;
  at::Tensor gradient(const Block& block) const;
  void start_pack(Block& block) const;
  void add_block(Block& block);
  void end_subtree(Block& block);
  void send_ready_blocks();
  void send(Block& block);
  void sum_sent_blocks(size_t first);
  void sum_shard(Block& block);

  Communicator& communicator_;
  at::Tensor flat_gradient_;
  ReductionOrder order_;
  std::vector<Block> blocks_;
  std::vector<std::vector<size_t>> blocks_of_;  ///< a parameter lies in
  PackRange own_;
  int64_t done_ = 0;                        ///< packs of own_
  std::vector<std::vector<int>> subtrees_;  ///< of each rank
  size_t subtree_ = 0;                      ///< of own_, at hand
  int64_t subtree_end_ = 0;                 ///< in packs of own_
  size_t unsent_ = 0;                       ///< blocks [0, unsent_)
  size_t unsummed_ = 0;                     ///< blocks [0, unsummed_)
};

}  // namespace radgpt
