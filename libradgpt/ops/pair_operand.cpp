#include "libradgpt/ops/pair_operand.h"

#include "libradgpt/ops/row_loops.h"

namespace radgpt {

template <typename T>
PairOperand<T>::PairOperand(const LoraPair& pair, const DropoutKey& key)
    : mask(DropoutMask::of(pair, key)),
      rank(pair.rank()),
      column(pair.column),
      padded_rank(round_up(rank, kLanes<C>)),
      padded_columns(round_up(pair.a.size(1), kLanes<C>)),
      a(rank * padded_columns),
      a_transposed(pair.a.size(1) * padded_rank) {
  const at::Tensor contiguous = pair.a.contiguous();
  const int64_t columns = pair.a.size(1);
  for (int64_t r = 0; r < rank; ++r) {
    C* row = a.data() + r * padded_columns;
    widen_row(contiguous.const_data_ptr<T>() + r * columns, columns, row);
    for (int64_t k = 0; k < columns; ++k) a_transposed[k * padded_rank + r] = row[k];
  }
}

template <typename T>
std::vector<PairOperand<T>> pair_operands(const std::vector<LoraPair>& pairs,
                                          const DropoutKey& key) {
  std::vector<PairOperand<T>> operands;
  operands.reserve(pairs.size());
  for (const LoraPair& pair : pairs) operands.emplace_back(pair, key);
  return operands;
}

template std::vector<PairOperand<float>> pair_operands(const std::vector<LoraPair>&,
                                                       const DropoutKey&);
template std::vector<PairOperand<double>> pair_operands(const std::vector<LoraPair>&,
                                                        const DropoutKey&);
template std::vector<PairOperand<c10::BFloat16>> pair_operands(const std::vector<LoraPair>&,
                                                               const DropoutKey&);

}  // namespace radgpt
