#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "kernels/primitives/adapter_inputs.h"
#include "kernels/primitives/row_loops.h"
#include "kernels/primitives/thin_product.h"
#include "kernels/primitives/workers.h"

namespace radgpt::kernels {

// What the three kernels that write the input Y of a linear layer share on the CPU: the border of Y
// in the forward pass, the adapters' part of the backward pass. Both work on a few rows at a time
// while they are in cache.

/// The adapters' A in the layouts of thin_product.h.
template <typename T>
std::vector<ThinMatrix<T>> thin_matrices(const AdapterInputs<T>& inputs, int64_t columns);

/// Writes S = dropout(Y) A^T of a few rows of Y at a time.
template <typename T>
class BorderWriter {
  using C = Compute<T>;

 public:
  static constexpr int64_t kRows = 16;  ///< at a time, at most

  struct Scratch {
    std::vector<uint64_t> kept;
    std::vector<C> s;
  };

  BorderWriter(const AdapterInputs<T>& inputs, int64_t columns, int64_t border);
  Scratch scratch() const;
  /// y: the rows [first, last) of Y, whose row stride is `stride`.
  void write_rows(int64_t first, int64_t last, T* y, int64_t stride, Scratch& scratch) const;

 private:
  const AdapterInputs<T>& inputs_;
  std::vector<ThinMatrix<T>> a_;
  int64_t columns_;
  int64_t border_;
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

/// The adapters' part of a backward pass over one block of rows after the other.
template <typename T>
class AdapterBackward {
  using C = Compute<T>;

 public:
  static constexpr int64_t kBlock = kMostThinRows;  ///< rows of a block, at most
  static constexpr int64_t kFewRows = 4;            ///< rows of dY at a time

  /// Of a block.
  struct Scratch {
    std::vector<T> y;
    std::vector<C> gradient;                  ///< of kFewRows rows
    std::vector<std::vector<uint64_t>> kept;  ///< per adapter
  };
  /// dA of each adapter over a part of the rows, without 1 / (1 - dropout).
  using Sums = std::vector<ThinSums<C>>;

  AdapterBackward(const AdapterInputs<T>& inputs, const AdapterGradients<T>& gradients,
                  int64_t columns);
  bool wants_a() const { return gradients_.da[0] != nullptr; }
  Scratch scratch() const;
  Sums empty_sums() const;
  /// Makes the masks of rows [first, last).
  void start_block(int64_t first, int64_t last, Scratch& scratch) const;
  /// Adds the rows' part of dA, which is made of scratch.y.
  void add_a(int64_t first, int64_t last, const Scratch& scratch, Sums& sums) const;
  /// Adds the adapters' share to `gradient`, kFewRows or fewer rows from `row` on of the block that
  /// begins at `first`.
  void add_gradient(int64_t first, int64_t row, int64_t rows, Scratch& scratch) const;
  /// Writes dA, the sum over all parts in their order.
  void write_a(const std::vector<Sums>& parts) const;

 private:
  KeptBits kept_of(int i, int64_t row, const Scratch& scratch) const;

  const AdapterInputs<T>& inputs_;
  const AdapterGradients<T>& gradients_;
  std::vector<ThinMatrix<T>> a_;
  int64_t columns_;
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
  using Adapters = AdapterBackward<T>;
  const Adapters adapters(call.inputs, call.gradients, call.columns);
  const int64_t parts = std::clamp<int64_t>(call.rows / kFewestRowsPerPart, 1, kMostParts);
  const int64_t rows_per_part = round_up(call.rows, parts) / parts;
  std::vector<typename Adapters::Sums> sums(parts);
  std::vector<std::vector<C>> weight_sums(parts);
  const auto block = [&](int64_t first, int64_t last, auto& scratch, int64_t part) {
    adapters.start_block(first, last, scratch);
    if (adapters.wants_a()) {
      for (int64_t row = first; row < last; ++row) {
        write_row(row, scratch.y.data() + (row - first) * call.columns);
      }
      adapters.add_a(first, last, scratch, sums[part]);
    }
    for (int64_t few = first; few < last && call.dy != nullptr; few += Adapters::kFewRows) {
      const int64_t rows = std::min(Adapters::kFewRows, last - few);
      for (int64_t i = 0; i < rows; ++i) {
        widen_row(call.dy + (few + i) * call.dy_stride, call.columns,
                  scratch.gradient.data() + i * call.columns);
      }
      adapters.add_gradient(first, few, rows, scratch);
      for (int64_t i = 0; i < rows; ++i) {
        backward_row(few + i, scratch.gradient.data() + i * call.columns,
                     dweight == nullptr ? nullptr : weight_sums[part].data());
      }
    }
  };
  workers.run(parts, [&](int64_t begin, int64_t end) {
    auto scratch = adapters.scratch();
    for (int64_t part = begin; part < end; ++part) {
      sums[part] = adapters.empty_sums();
      if (dweight != nullptr) weight_sums[part].resize(call.columns);
      const int64_t end_of_part = std::min((part + 1) * rows_per_part, call.rows);
      for (int64_t row = part * rows_per_part; row < end_of_part; row += Adapters::kBlock) {
        block(row, std::min(row + Adapters::kBlock, end_of_part), scratch, part);
      }
    }
  });
  adapters.write_a(sums);
  if (dweight == nullptr) return;
  std::fill(dweight, dweight + call.columns, C{0});
  for (const auto& part : weight_sums) add_row(part.data(), call.columns, dweight);
}

}  // namespace radgpt::kernels
