#include "libradgpt/distributed/gradient_reduction.h"

#include <torch/types.h>

#include <algorithm>
#include <numeric>

#include "libradgpt/base/error.h"

namespace radgpt {

GradientReduction::GradientReduction(Communicator& communicator, at::Tensor flat_gradient,
                                     std::vector<Parameter> parameters, ReductionOrder order,
                                     int64_t block)
    : communicator_(communicator),
      flat_gradient_(std::move(flat_gradient)),
      order_(order),
      blocks_of_(parameters.size()) {
  for (int64_t begin = 0; begin < flat_gradient_.numel(); begin += block) {
    blocks_.push_back({begin, std::min(begin + block, flat_gradient_.numel())});
  }
  for (size_t i = 0; i < parameters.size(); ++i) {
    const Parameter& parameter = parameters[i];
    for (int64_t at = parameter.begin / block; at * block < parameter.end; ++at) {
      blocks_of_[i].push_back(static_cast<size_t>(at));
      blocks_.at(static_cast<size_t>(at)).parameters++;
    }
  }
}

PackRange GradientReduction::begin(int64_t packs) {
  require(packs > 0, "gradient reduction: a step must have a pack, got none");
  const int size = communicator_.size();
  subtrees_.clear();
  for (int rank = 0; rank < size; ++rank) {
    subtrees_.push_back(subtree_levels(packs_of_rank(packs, rank, size)));
  }
  own_ = packs_of_rank(packs, communicator_.rank(), size);
  done_ = 0;
  subtree_ = 0;
  subtree_end_ = own_.size() > 0 ? int64_t{1} << own_subtrees().front() : 0;
  unsent_ = unsummed_ = blocks_.size();
  for (Block& block : blocks_) start_pack(block);
  if (own_.size() == 0) {
    flat_gradient_.zero_();
    send_ready_blocks();
  }
  return own_;
}

void GradientReduction::start_pack(Block& block) const {
  block.missing = block.parameters;
  block.added = own_.size() == 0;
}

void GradientReduction::complete(size_t parameter) {
  if (is_alone() || !is_last_pack()) return;
  for (const size_t index : blocks_of_.at(parameter)) {
    Block& block = blocks_[index];
    if (block.missing > 0 && --block.missing == 0) add_block(block);
  }
  send_ready_blocks();
}

void GradientReduction::add() {
  for (Block& block : blocks_) {
    if (!block.added) add_block(block);
  }
  if (is_last_pack() && !is_alone()) send_ready_blocks();
  if (++done_ == subtree_end_ && done_ < own_.size()) {
    subtree_end_ += int64_t{1} << own_subtrees().at(++subtree_);
  }
  if (done_ < own_.size()) {
    for (Block& block : blocks_) start_pack(block);
  }
}

at::Tensor GradientReduction::gradient(const Block& block) const {
  return flat_gradient_.narrow(0, block.begin, block.end - block.begin);
}

int64_t GradientReduction::shard(const Block& block) const {
  const int64_t size = communicator_.size();
  return (block.end - block.begin + size - 1) / size;
}

void GradientReduction::add_block(Block& block) {
  block.own.add(gradient(block));
  block.added = true;
  if (is_alone() || order_ == ReductionOrder::kAllreduce) {
    if (is_last_pack()) block.own.finish(gradient(block));
  } else if (done_ + 1 == subtree_end_) {
    end_subtree(block);
  }
}

/// Puts the sum over the subtree at hand where its shards can be sent from.
void GradientReduction::end_subtree(Block& block) {
  const int64_t size = communicator_.size();
  const auto subtrees = static_cast<int64_t>(own_subtrees().size());
  if (subtree_ == 0) {
    block.sent = at::empty({size, subtrees, shard(block)}, flat_gradient_.options());
  }
  at::Tensor sum = at::zeros({size * shard(block)}, flat_gradient_.options());
  block.own.finish(sum.narrow(0, 0, block.end - block.begin));
  block.sent.select(1, static_cast<int64_t>(subtree_)).copy_(sum.view({size, shard(block)}));
}

/// All ranks send and add up the blocks in one order, whatever order they are completed in.
void GradientReduction::send_ready_blocks() {
  while (unsent_ > 0 && blocks_[unsent_ - 1].added) {
    send(blocks_[--unsent_]);
    sum_sent_blocks(unsent_ + kBlocksUnderWay);
  }
}

/// Those from `first` on.
void GradientReduction::sum_sent_blocks(size_t first) {
  if (order_ == ReductionOrder::kAllreduce) return;
  while (unsummed_ > first) sum_shard(blocks_[--unsummed_]);
}

void GradientReduction::send(Block& block) {
  if (order_ == ReductionOrder::kAllreduce) {
    block.transfer = communicator_.sum(gradient(block));
    return;
  }
  const int64_t elements = shard(block);
  std::vector<int64_t> receive_counts;
  for (const std::vector<int>& subtrees : subtrees_) {
    receive_counts.push_back(static_cast<int64_t>(subtrees.size()) * elements);
  }
  const int64_t all = std::accumulate(receive_counts.begin(), receive_counts.end(), int64_t{0});
  block.received = at::empty({all}, flat_gradient_.options());
  if (own_.size() == 0) block.sent = at::empty({0}, flat_gradient_.options());
  const int64_t own = receive_counts[static_cast<size_t>(communicator_.rank())];
  block.transfer =
      communicator_.exchange(block.received, std::move(receive_counts), block.sent.view({-1}),
                             std::vector<int64_t>(static_cast<size_t>(communicator_.size()), own));
}

/// Adds up this rank's shard over all subtrees of all ranks, and sends it to all.
void GradientReduction::sum_shard(Block& block) {
  block.transfer.wait();
  block.sent = at::Tensor();
  const int64_t elements = shard(block);
  OrderedSum sum;
  int64_t at = 0;
  for (const std::vector<int>& subtrees : subtrees_) {
    for (const int level : subtrees)
      sum.add(block.received.narrow(0, elements * at++, elements), level);
  }
  block.all = at::empty({communicator_.size(), elements}, flat_gradient_.options());
  const at::Tensor mine = at::empty({elements}, flat_gradient_.options());
  sum.finish(mine);
  block.received = at::Tensor();
  block.transfer = communicator_.gather(block.all, mine);
}

void GradientReduction::finish() {
  require(done_ == own_.size(), "gradient reduction: finish needs all ", own_.size(),
          " packs of this rank, got ", done_);
  if (is_alone()) return;
  sum_sent_blocks(0);
  for (auto block = blocks_.rbegin(); block != blocks_.rend(); ++block) {
    block->transfer.wait();
    if (order_ == ReductionOrder::kAllreduce) continue;
    gradient(*block).copy_(block->all.view({-1}).narrow(0, 0, block->end - block->begin));
    block->all = at::Tensor();
  }
}

}  // namespace radgpt
