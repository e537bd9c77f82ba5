#include "libradgpt/distributed/ordered_sum.h"

#include <torch/types.h>

#include "libradgpt/base/error.h"

namespace radgpt {

void OrderedSum::add(const at::Tensor& values) {
  // Adding one to a binary counter: a carry is the addition of two complete subtrees.
  size_t level = 0;
  at::Tensor carry = values;
  while ((count_ >> level) & 1) {
    carry = levels_[level].add_(carry);
    ++level;
  }
  if (level == levels_.size()) levels_.push_back(at::empty_like(values));
  levels_[level].copy_(carry);
  ++count_;
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
