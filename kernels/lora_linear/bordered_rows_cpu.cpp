#include "kernels/lora_linear/bordered_rows_cpu.h"

namespace radgpt::kernels {

template <typename T>
std::vector<ThinMatrix<T>> thin_matrices(const AdapterInputs<T>& inputs, int64_t columns) {
  std::vector<ThinMatrix<T>> matrices;
  for (int i = 0; i < inputs.count; ++i) {
    const AdapterInput<T>& adapter = inputs.adapters[i];
    matrices.emplace_back(adapter.a, adapter.rank, columns, columns, 1);
  }
  return matrices;
}

template <typename T>
BorderWriter<T>::BorderWriter(const AdapterInputs<T>& inputs, int64_t columns, int64_t border)
    : inputs_(inputs), a_(thin_matrices(inputs, columns)), columns_(columns), border_(border) {}

template <typename T>
typename BorderWriter<T>::Scratch BorderWriter<T>::scratch() const {
  int64_t widest = 0;
  for (const auto& a : a_) widest = std::max(widest, a.padded_rank());
  return {std::vector<uint64_t>(kRows * mask_words(columns_)), std::vector<C>(kRows * widest)};
}

template <typename T>
void BorderWriter<T>::write_rows(int64_t first, int64_t last, T* y, int64_t stride,
                                 Scratch& scratch) const {
  for (int64_t row = first; row < last; ++row) {
    T* border = y + (row - first) * stride + columns_;
    std::fill(border, border + border_, T{});
  }
  for (int i = 0; i < inputs_.count; ++i) {
    const DropoutMask& mask = inputs_.adapters[i].mask;
    ThinRows<T> rows{y, last - first, columns_, stride};
    if (mask.drops()) {
      mask_bits(mask, first, last, columns_, scratch.kept.data());
      rows.kept = scratch.kept.data();
    }
    a_[i].multiply_by_transpose(rows, scratch.s.data());
    for (int64_t r = 0; r < rows.count; ++r) {
      round_row(scratch.s.data() + r * a_[i].padded_rank(), a_[i].rank(),
                y + r * stride + columns_ + inputs_.adapters[i].column, static_cast<C>(mask.kept));
    }
  }
}

template <typename T>
typename AdapterBackward<T>::Scratch AdapterBackward<T>::scratch() const {
  Scratch scratch;
  if (wants_a()) scratch.y.resize(kBlock * columns_);
  scratch.gradient.resize(kFewRows * columns_);
  for (int i = 0; i < inputs_.count; ++i) {
    scratch.kept.emplace_back(kBlock * mask_words(columns_));
  }
  return scratch;
}

template <typename T>
typename AdapterBackward<T>::Sums AdapterBackward<T>::empty_sums() const {
  Sums sums;
  for (const auto& a : a_) {
    if (wants_a()) sums.emplace_back(a.rank(), columns_);
  }
  return sums;
}

template <typename T>
KeptBits AdapterBackward<T>::kept_of(int i, int64_t row, const Scratch& scratch) const {
  if (!inputs_.adapters[i].mask.drops()) return nullptr;
  return scratch.kept[i].data() + row * mask_words(columns_);
}

template <typename T>
void AdapterBackward<T>::start_block(int64_t first, int64_t last, Scratch& scratch) const {
  for (int i = 0; i < inputs_.count; ++i) {
    const DropoutMask& mask = inputs_.adapters[i].mask;
    if (mask.drops()) mask_bits(mask, first, last, columns_, scratch.kept[i].data());
  }
}

template <typename T>
void AdapterBackward<T>::add_a(int64_t first, int64_t last, const T* y, const Scratch& scratch,
                               Sums& sums) const {
  for (int i = 0; i < inputs_.count; ++i) {
    const AdapterInput<T>& adapter = inputs_.adapters[i];
    const ThinRows<T> ds{gradients_.ds + first * gradients_.ds_stride + adapter.column,
                         last - first, adapter.rank, gradients_.ds_stride};
    sums[i].add(ds, {y, last - first, columns_, columns_, kept_of(i, 0, scratch)});
  }
}

template <typename T>
void AdapterBackward<T>::make_gradient(int64_t first, int64_t row, int64_t rows,
                                       Scratch& scratch) const {
  for (int64_t i = 0; i < rows; ++i) {
    widen_row(dy_ + (row + i) * dy_stride_, columns_, scratch.gradient.data() + i * columns_);
  }
  for (int i = 0; i < inputs_.count; ++i) {
    const AdapterInput<T>& adapter = inputs_.adapters[i];
    const ThinRows<T> ds{gradients_.ds + row * gradients_.ds_stride + adapter.column, rows,
                         adapter.rank, gradients_.ds_stride};
    a_[i].add_product(ds, kept_of(i, row - first, scratch), static_cast<C>(adapter.mask.kept),
                      scratch.gradient.data(), columns_);
  }
}

template <typename T>
void AdapterBackward<T>::write_a(const std::vector<Sums>& parts, const Workers& workers) const {
  for (int i = 0; i < inputs_.count && wants_a(); ++i) {
    const AdapterInput<T>& adapter = inputs_.adapters[i];
    workers.run(adapter.rank, [&](int64_t begin, int64_t end) {
      for (int64_t r = begin; r < end; ++r) {
        C* row = gradients_.da[i] + r * columns_;
        std::fill(row, row + columns_, C{0});
        for (const Sums& part : parts) {
          add_row(part[i].row(r), columns_, row, static_cast<C>(adapter.mask.kept));
        }
      }
    });
  }
}

template std::vector<ThinMatrix<float>> thin_matrices(const AdapterInputs<float>&, int64_t);
template std::vector<ThinMatrix<double>> thin_matrices(const AdapterInputs<double>&, int64_t);
template std::vector<ThinMatrix<BFloat16>> thin_matrices(const AdapterInputs<BFloat16>&, int64_t);
template class BorderWriter<float>;
template class BorderWriter<double>;
template class BorderWriter<BFloat16>;
template class AdapterBackward<float>;
template class AdapterBackward<double>;
template class AdapterBackward<BFloat16>;

}  // namespace radgpt::kernels
