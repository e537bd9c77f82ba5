#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

namespace radgpt {

/// Sums buffers that come one after the other (the gradients of the packs of a step) in a binary
/// tree fixed by their index alone: node (level, k) is the sum of buffers [k 2^level, (k+1)
/// 2^level). Floating-point sums depend on their order; this order does not depend on who computed
/// which buffer, so any division of the packs over ranks that respects the tree gives the same
/// bits.
///
/// Memory: one buffer per level in use, at most log2(count) + 1.
class OrderedSum {
 public:
  /// Adds the next buffer; `values` is copied.
  void add(const at::Tensor& values);

  /// Writes the sum of everything added into `result` (same shape) and starts anew. Incomplete
  /// subtrees are joined from the smallest to the largest. Requires at least one `add`.
  void finish(at::Tensor result);

 private:
  /// levels_[l]: complete subtree of 2^l buffers, if bit l of count_.
  std::vector<at::Tensor> levels_;
  int64_t count_ = 0;
};

}  // namespace radgpt
