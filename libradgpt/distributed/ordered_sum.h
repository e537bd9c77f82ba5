#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

namespace radgpt {

/// The packs [begin, end) of a step.
struct PackRange {
  int64_t begin = 0;
  int64_t end = 0;

  int64_t size() const { return end - begin; }
};

/// What a rank computes of `packs`: neighbours, and no two ranks differ by more than one pack.
PackRange packs_of_rank(int64_t packs, int rank, int size);

/// Levels of the largest whole subtrees (OrderedSum) that make up a range, in its order: {0, 2, 1}
/// for [3, 10), which is 3, 4-7 and 8-9.
std::vector<int> subtree_levels(PackRange range);

/// Sums buffers that come one after the other (the gradients of the packs of a step) in a binary
/// tree fixed by their index alone: node (level, k) is the sum of buffers [k 2^level, (k+1)
/// 2^level). Floating-point sums depend on their order; this order does not depend on who computed
/// which buffer, so any division of the packs over ranks that respects the tree gives the same
/// bits.
///
/// Memory: one buffer per level in use, at most log2(count) + 1.
class OrderedSum {
 public:
  /// Adds the next buffer, or the sum of the next 2^level of them, whose first index must be a
  /// multiple of 2^level; `values` is copied.
  void add(const at::Tensor& values, int level = 0);

  /// Writes the sum of everything added into `result` (same shape) and starts anew. Incomplete
  /// subtrees are joined from the smallest to the largest. Requires at least one `add`.
  void finish(at::Tensor result);

 private:
  /// levels_[l]: complete subtree of 2^l buffers, if bit l of count_.
  std::vector<at::Tensor> levels_;
  int64_t count_ = 0;
};

}  // namespace radgpt
