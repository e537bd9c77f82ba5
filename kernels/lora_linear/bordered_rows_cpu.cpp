#include "kernels/lora_linear/bordered_rows_cpu.h"

#include "kernels/primitives/tile_product.h"

namespace radgpt::kernels {

namespace {

/// Rows that fit a core's cache at a time: a multiple of 8.
int64_t rows_per_block(int64_t columns) {
  return std::clamp<int64_t>(32768 / columns / 8 * 8, 8, 32);
}

template <typename T>
std::vector<AdapterOperand<T>> operands(const AdapterInputs<T>& inputs, int64_t columns) {
  std::vector<AdapterOperand<T>> adapters;
  for (int i = 0; i < inputs.count; ++i) adapters.emplace_back(inputs.adapters[i], columns);
  return adapters;
}

}  // namespace

template <typename T>
AdapterOperand<T>::AdapterOperand(const AdapterInput<T>& adapter, int64_t columns)
    : mask(adapter.mask),
      rank(adapter.rank),
      column(adapter.column),
      padded_rank(round_up(rank, kLanes<C>)),
      padded_columns(round_up(columns, kLanes<C>)),
      a(rank * padded_columns),
      a_transposed(columns * padded_rank) {
  for (int64_t r = 0; r < rank; ++r) {
    C* row = a.data() + r * padded_columns;
    widen_row(adapter.a + r * columns, columns, row);
    for (int64_t k = 0; k < columns; ++k) a_transposed[k * padded_rank + r] = row[k];
  }
}

template <typename T>
BorderWriter<T>::BorderWriter(const AdapterInputs<T>& inputs, int64_t columns, int64_t border)
    : adapters_(operands(inputs, columns)),
      columns_(columns),
      border_(border),
      masked_stride_(round_up(columns, kMaskStep)) {
  for (const auto& adapter : adapters_) widest_ = std::max(widest_, adapter.padded_rank);
}

template <typename T>
typename BorderWriter<T>::Scratch BorderWriter<T>::scratch() const {
  if (adapters_.empty()) return {};
  return {std::vector<C>(kRows * masked_stride_), std::vector<C>(masked_stride_),
          std::vector<C>(kRows * widest_)};
}

template <typename T>
void BorderWriter<T>::write_rows(int64_t first, int64_t last, T* y, int64_t stride,
                                 Scratch& scratch) const {
  const int64_t rows = last - first;
  for (int64_t r = 0; r < rows; ++r) {
    T* border = y + r * stride + columns_;
    std::fill(border, border + border_, T{});
  }
  bool widened = false;  // adapters without dropout share one copy
  for (const AdapterOperand<T>& adapter : adapters_) {
    for (int64_t r = 0; r < rows && (adapter.mask.drops() || !widened); ++r) {
      apply_mask(adapter, first + r, y + r * stride, scratch.masked.data() + r * masked_stride_,
                 scratch);
    }
    widened = !adapter.mask.drops();
    tile_product<C>(
        {rows, adapter.rank, columns_, scratch.masked.data(), masked_stride_, 1,
         adapter.a_transposed.data(), adapter.padded_rank, scratch.s.data(), adapter.padded_rank},
        TileResult::kOverwrite);
    for (int64_t r = 0; r < rows; ++r) {
      round_row(scratch.s.data() + r * adapter.padded_rank, adapter.rank,
                y + r * stride + columns_ + adapter.column);
    }
  }
}

template <typename T>
void BorderWriter<T>::apply_mask(const AdapterOperand<T>& adapter, int64_t row, const T* y,
                                 C* masked, Scratch& scratch) const {
  if (!adapter.mask.drops()) return widen_row(y, columns_, masked);
  mask_row(adapter.mask, row, columns_, scratch.factors.data());
  multiply_row(y, scratch.factors.data(), columns_, masked);
}

template <typename T>
AdapterBackward<T>::AdapterBackward(const AdapterInputs<T>& inputs,
                                    const AdapterGradients<T>& gradients, int64_t columns)
    : adapters_(operands(inputs, columns)),
      gradients_(gradients),
      columns_(columns),
      padded_(round_up(columns, kMaskStep)),
      block_(rows_per_block(columns)),
      wants_a_(gradients.da[0] != nullptr) {}

template <typename T>
typename AdapterBackward<T>::Scratch AdapterBackward<T>::scratch() const {
  Scratch scratch;
  scratch.y.resize(block_ * padded_);
  for (auto* rows : {&scratch.gradient, &scratch.masked, &scratch.update, &scratch.factors}) {
    rows->resize(block_ * padded_);
  }
  for (const auto& adapter : adapters_) {
    scratch.ds.resize(std::max<size_t>(scratch.ds.size(), block_ * adapter.rank));
  }
  return scratch;
}

template <typename T>
RowSums<Compute<T>> AdapterBackward<T>::empty_sums() const {
  RowSums<C> sums;
  for (const auto& adapter : adapters_) {
    sums.a.emplace_back(wants_a_ ? adapter.rank * adapter.padded_columns : 0);
  }
  return sums;
}

template <typename T>
void AdapterBackward<T>::add_block(int64_t first, int64_t last, bool wants_gradient,
                                   Scratch& scratch, RowSums<C>& sums) const {
  const int64_t rows = last - first;
  for (size_t i = 0; i < adapters_.size(); ++i) {
    const AdapterOperand<T>& adapter = adapters_[i];
    for (int64_t r = 0; r < rows; ++r) {
      widen_row(gradients_.ds + (first + r) * gradients_.ds_stride + adapter.column, adapter.rank,
                scratch.ds.data() + r * adapter.rank);
      if (adapter.mask.drops()) {
        mask_row(adapter.mask, first + r, columns_, scratch.factors.data() + r * padded_);
      }
    }
    if (wants_gradient) add_gradient(adapter, rows, scratch);
    if (wants_a_) add_a(adapter, rows, scratch, sums.a[i]);
  }
}

/// dY += mask (dS A) / (1 - dropout)
template <typename T>
void AdapterBackward<T>::add_gradient(const AdapterOperand<T>& adapter, int64_t rows,
                                      Scratch& scratch) const {
  const bool drops = adapter.mask.drops();
  C* result = drops ? scratch.update.data() : scratch.gradient.data();
  tile_product<C>({rows, columns_, adapter.rank, scratch.ds.data(), adapter.rank, 1,
                   adapter.a.data(), adapter.padded_columns, result, padded_},
                  drops ? TileResult::kOverwrite : TileResult::kAdd);
  for (int64_t r = 0; r < rows && drops; ++r) {
    const int64_t at = r * padded_;
    add_product_row(scratch.update.data() + at, scratch.factors.data() + at, columns_,
                    scratch.gradient.data() + at);
  }
}

/// dA += dS^T dropout(Y)
template <typename T>
void AdapterBackward<T>::add_a(const AdapterOperand<T>& adapter, int64_t rows, Scratch& scratch,
                               std::vector<C>& da) const {
  for (int64_t r = 0; r < rows; ++r) {
    const T* y = scratch.y.data() + r * padded_;
    C* masked = scratch.masked.data() + r * padded_;
    if (adapter.mask.drops()) {
      multiply_row(y, scratch.factors.data() + r * padded_, columns_, masked);
    } else {
      widen_row(y, columns_, masked);
    }
  }
  tile_product<C>({adapter.rank, columns_, rows, scratch.ds.data(), 1, adapter.rank,
                   scratch.masked.data(), padded_, da.data(), adapter.padded_columns},
                  TileResult::kAdd);
}

template <typename T>
void AdapterBackward<T>::write_sums(const std::vector<RowSums<C>>& parts) const {
  for (size_t i = 0; i < adapters_.size() && wants_a_; ++i) {
    const AdapterOperand<T>& adapter = adapters_[i];
    for (int64_t r = 0; r < adapter.rank; ++r) {
      C* row = gradients_.da[i] + r * columns_;
      std::fill(row, row + columns_, C{0});
      for (const auto& part : parts) {
        add_row(part.a[i].data() + r * adapter.padded_columns, columns_, row);
      }
    }
  }
}

template struct AdapterOperand<float>;
template struct AdapterOperand<double>;
template struct AdapterOperand<BFloat16>;
template class BorderWriter<float>;
template class BorderWriter<double>;
template class BorderWriter<BFloat16>;
template class AdapterBackward<float>;
template class AdapterBackward<double>;
template class AdapterBackward<BFloat16>;

}  // namespace radgpt::kernels
