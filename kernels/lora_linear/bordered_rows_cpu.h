#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "kernels/primitives/adapter_inputs.h"
#include "kernels/primitives/lanes.h"
#include "kernels/primitives/row_loops.h"
#include "kernels/primitives/workers.h"

namespace radgpt::kernels {

// What the three kernels that write the input Y of a linear layer share on the CPU: the border of Y
// in the forward pass, the adapters' part of the backward pass. Both work on a few rows at a time
// while they are in cache.

/// A of one adapter as tile_product wants it, in the type of sums.
template <typename T>
struct AdapterOperand {
  using C = Compute<T>;

  DropoutMask mask;
  int64_t rank = 0;
  int64_t column = 0;           ///< in the border
  int64_t padded_rank = 0;      ///< row stride of a_transposed
  int64_t padded_columns = 0;   ///< row stride of a
  std::vector<C> a;             ///< [rank, columns], zero behind each row
  std::vector<C> a_transposed;  ///< [columns, rank], zero behind each row

  AdapterOperand(const AdapterInput<T>& adapter, int64_t columns);
};

/// Writes S = dropout(Y) A^T of a few rows of Y at a time.
template <typename T>
class BorderWriter {
  using C = Compute<T>;

 public:
  static constexpr int64_t kRows = 16;  ///< at a time, at most

  struct Scratch {
    std::vector<C> masked;   ///< [kRows, columns] dropout(Y)
    std::vector<C> factors;  ///< [columns]
    std::vector<C> s;        ///< [kRows, rank]
  };

  BorderWriter(const AdapterInputs<T>& inputs, int64_t columns, int64_t border);
  Scratch scratch() const;
  /// y: the rows [first, last) of Y, whose row stride is `stride`.
  void write_rows(int64_t first, int64_t last, T* y, int64_t stride, Scratch& scratch) const;

 private:
  void apply_mask(const AdapterOperand<T>& adapter, int64_t row, const T* y, C* masked,
                  Scratch& scratch) const;

  std::vector<AdapterOperand<T>> adapters_;
  int64_t columns_;
  int64_t border_;
  int64_t masked_stride_;
  int64_t widest_ = 0;
};

/// A forward pass: write_row(row, y) writes a row of Y, S follows.
template <typename T, typename Call, typename WriteRow>
void write_bordered_rows(const Call& call, const Workers& workers, const WriteRow& write_row) {
  constexpr int64_t kRows = BorderWriter<T>::kRows;
  const BorderWriter<T> border(call.inputs, call.columns, call.border);
  workers.run(round_up(call.rows, kRows) / kRows, [&](int64_t begin, int64_t end) {
    auto scratch = border.scratch();
    for (int64_t task = begin; task < end; ++task) {
      const int64_t first = task * kRows, last = std::min(first + kRows, call.rows);
      T* y = call.y + first * call.y_stride;
      for (int64_t row = first; row < last; ++row) {
        write_row(row, y + (row - first) * call.y_stride);
      }
      border.write_rows(first, last, y, call.y_stride, scratch);
    }
  });
}

/// Sums over a part of the rows.
template <typename C>
struct RowSums {
  std::vector<std::vector<C>> a;  ///< per adapter [rank, padded columns]
  std::vector<C> weight;          ///< [columns] of the norm weight, or empty
};

/// The adapters' part of a backward pass.
template <typename T>
class AdapterBackward {
  using C = Compute<T>;

 public:
  /// One block of rows, each of row_stride() elements.
  struct Scratch {
    std::vector<T> y;
    std::vector<C> gradient;  ///< dY
    std::vector<C> masked;    ///< dropout(Y)
    std::vector<C> update;    ///< dS A
    std::vector<C> factors;
    std::vector<C> ds;
  };

  AdapterBackward(const AdapterInputs<T>& inputs, const AdapterGradients<T>& gradients,
                  int64_t columns);
  int64_t block_rows() const { return block_; }
  int64_t row_stride() const { return padded_; }
  bool wants_a() const { return wants_a_; }
  Scratch scratch() const;
  RowSums<C> empty_sums() const;
  /// Adds the adapters' share to scratch.gradient if `add_gradient`, and the rows' part of dA, made
  /// of scratch.y, to `sums`. For rows [first, last).
  void add_block(int64_t first, int64_t last, bool add_gradient, Scratch& scratch,
                 RowSums<C>& sums) const;
  /// Writes dA, the sum over all parts in their order.
  void write_sums(const std::vector<RowSums<C>>& parts) const;

 private:
  void add_gradient(const AdapterOperand<T>& adapter, int64_t rows, Scratch& scratch) const;
  void add_a(const AdapterOperand<T>& adapter, int64_t rows, Scratch& scratch,
             std::vector<C>& da) const;

  std::vector<AdapterOperand<T>> adapters_;
  AdapterGradients<T> gradients_;
  int64_t columns_;
  int64_t padded_;
  int64_t block_;
  bool wants_a_;
};

/// Rows are summed over in at most this many parts, whatever the number of workers, each part in
/// order on one worker and the parts in order afterwards.
inline constexpr int64_t kMostParts = 32;
inline constexpr int64_t kFewestRowsPerPart = 64;

/// A backward pass. write_row(row, y) writes a row of Y anew; backward_row(row, dy, dweight),
/// called where dY is wanted, makes of a row of dY what the kernel is for, and adds to the gradient
/// of the norm weight. `dweight` [columns] is null where there is none.
template <typename T, typename Call, typename WriteRow, typename BackwardRow>
void bordered_rows_backward(const Call& call, Compute<T>* dweight, const Workers& workers,
                            const WriteRow& write_row, const BackwardRow& backward_row) {
  using C = Compute<T>;
  const AdapterBackward<T> adapters(call.inputs, call.gradients, call.columns);
  const int64_t parts = std::clamp<int64_t>(call.rows / kFewestRowsPerPart, 1, kMostParts);
  const int64_t rows_per_part = round_up(call.rows, parts) / parts;
  const int64_t stride = adapters.row_stride();
  std::vector<RowSums<C>> sums(parts);
  const auto block = [&](int64_t first, int64_t last, auto& scratch, RowSums<C>& part) {
    for (int64_t row = first; row < last; ++row) {
      const int64_t at = (row - first) * stride;
      if (call.dy != nullptr) {
        widen_row(call.dy + row * call.dy_stride, call.columns, scratch.gradient.data() + at);
      }
      if (adapters.wants_a()) write_row(row, scratch.y.data() + at);
    }
    adapters.add_block(first, last, call.dy != nullptr, scratch, part);
    for (int64_t row = first; row < last && call.dy != nullptr; ++row) {
      backward_row(row, scratch.gradient.data() + (row - first) * stride,
                   dweight == nullptr ? nullptr : part.weight.data());
    }
  };
  workers.run(parts, [&](int64_t begin, int64_t end) {
    auto scratch = adapters.scratch();
    for (int64_t part = begin; part < end; ++part) {
      sums[part] = adapters.empty_sums();
      if (dweight != nullptr) sums[part].weight.resize(call.columns);
      const int64_t end_of_part = std::min((part + 1) * rows_per_part, call.rows);
      for (int64_t row = part * rows_per_part; row < end_of_part; row += adapters.block_rows()) {
        block(row, std::min(row + adapters.block_rows(), end_of_part), scratch, sums[part]);
      }
    }
  });
  adapters.write_sums(sums);
  if (dweight == nullptr) return;
  std::fill(dweight, dweight + call.columns, C{0});
  for (const auto& part : sums) add_row(part.weight.data(), call.columns, dweight);
}

}  // namespace radgpt::kernels
