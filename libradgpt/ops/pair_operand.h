#pragma once

#include <cstdint>
#include <vector>

#include "libradgpt/ops/dropout_mask.h"
#include "libradgpt/ops/lanes.h"

namespace radgpt {

/// A pair's A as tile_product wants it, in the type of sums, for one forward or backward pass.
template <typename T>
struct PairOperand {
  using C = Compute<T>;

  DropoutMask mask;
  int64_t rank = 0;
  int64_t column = 0;           ///< in the border
  int64_t padded_rank = 0;      ///< row stride of a_transposed
  int64_t padded_columns = 0;   ///< row stride of a
  std::vector<C> a;             ///< [rank, in], zero behind each row
  std::vector<C> a_transposed;  ///< [in, rank], zero behind each row

  PairOperand(const LoraPair& pair, const DropoutKey& key);
};

template <typename T>
std::vector<PairOperand<T>> pair_operands(const std::vector<LoraPair>& pairs,
                                          const DropoutKey& key);

}  // namespace radgpt
