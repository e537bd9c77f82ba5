#include "libradgpt/distributed/ordered_sum.h"

#include <torch/types.h>

#include <algorithm>
#include <bit>

#include "libradgpt/base/error.h"

namespace radgpt {

PackRange packs_of_rank(int64_t packs, int rank, int size) {
  const int64_t each = packs / size, more = packs % size;
  const int64_t begin = rank * each + std::min<int64_t>(rank, more);
  return {begin, begin + each + (rank < more ? 1 : 0)};
}

std::vector<int> subtree_levels(PackRange range) {
  std::vector<int> levels;
  while (range.size() > 0) {
    int level = std::bit_width(static_cast<uint64_t>(range.size())) - 1;
    if (range.begin > 0) {
      level = std::min(level, std::countr_zero(static_cast<uint64_t>(range.begin)));
    }
    levels.push_back(level);
    range.begin += int64_t{1} << level;
  }
  return levels;
}

void OrderedSum::add(const at::Tensor& values, int level) {
  const int64_t added = int64_t{1} << level;
  require(count_ % added == 0, "ordered sum: a subtree of ", added,
          " buffers must begin at a multiple of that, got ", count_);
  // Adding to a binary counter: a carry is the addition of two complete subtrees.
  auto at = static_cast<size_t>(level);
  at::Tensor carry = values;
  while ((count_ >> at) & 1) {
    carry = levels_[at].add_(carry);
    ++at;
  }
  if (at >= levels_.size()) levels_.resize(at + 1);
  if (!levels_[at].defined()) levels_[at] = at::empty_like(values);
  levels_[at].copy_(carry);
  count_ += added;
}

void OrderedSum::finish(at::Tensor result) {
  require(count_ > 0, "ordered sum: finish needs at least one buffer");
  bool started = false;
  for (size_t level = 0; level < levels_.size(); ++level) {
    if (!((count_ >> level) & 1)) continue;
    if (started) {
      at::add_out(result, levels_[level], result);
    } else {
      result.copy_(levels_[level]);
    }
    started = true;
  }
  count_ = 0;
}

}  // namespace radgpt
