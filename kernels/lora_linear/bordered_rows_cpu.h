#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "kernels/lora_linear/row_parts_cpu.h"
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
  workers.run(divide_up(call.rows, kRows), [&](int64_t begin, int64_t end) {
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
    std::vector<C> gradient;                  ///< dY of kFewRows rows
    std::vector<std::vector<uint64_t>> kept;  ///< per adapter
  };
  /// dA of each adapter over a part of the rows, without 1 / (1 - dropout).
  using Sums = std::vector<ThinSums<C>>;

  template <typename Call>
  explicit AdapterBackward(const Call& call)
      : inputs_(call.inputs),
        gradients_(call.gradients),
        a_(thin_matrices(call.inputs, call.columns)),
        columns_(call.columns),
        dy_(call.dy),
        dy_stride_(call.dy_stride) {}
  bool wants_a() const { return gradients_.da[0] != nullptr; }
  Scratch scratch() const;
  Sums empty_sums() const;
  /// Makes the masks of rows [first, last).
  void start_block(int64_t first, int64_t last, Scratch& scratch) const;
  /// Adds the part of dA of rows [first, last), which are `y`, one after the other.
  void add_a(int64_t first, int64_t last, const T* y, const Scratch& scratch, Sums& sums) const;
  /// Writes dY, dY0 and the adapters' share, of kFewRows or fewer rows from `row` on of the block
  /// that begins at `first`.
  void make_gradient(int64_t first, int64_t row, int64_t rows, Scratch& scratch) const;
  /// Writes dA, the sum over all parts in their order.
  void write_a(const std::vector<Sums>& parts, const Workers& workers) const;

 private:
  KeptBits kept_of(int i, int64_t row, const Scratch& scratch) const;

  const AdapterInputs<T>& inputs_;
  const AdapterGradients<T>& gradients_;
  std::vector<ThinMatrix<T>> a_;
  int64_t columns_;
  const T* dy_;
  int64_t dy_stride_;
};

/// y_rows of a kernel that writes Y row by row.
template <typename T, typename WriteRow>
auto rows_by(int64_t columns, const WriteRow& write_row) {
  return [=](int64_t first, int64_t last, T* scratch) -> const T* {
    for (int64_t row = first; row < last; ++row) write_row(row, scratch + (row - first) * columns);
    return scratch;
  };
}

/// A backward pass. y_rows(first, last, scratch) returns rows of Y, one after the other: `scratch`
/// with the rows in it, or where they stand already. backward_row(row, dy, dweight), called where
/// dY is wanted, makes of a row of dY what the kernel is for, and adds to the gradient of the norm
/// weight. `dweight` [columns] is null where there is none.
template <typename T, typename Call, typename YRows, typename BackwardRow>
void bordered_rows_backward(const Call& call, Compute<T>* dweight, const Workers& workers,
                            const YRows& y_rows, const BackwardRow& backward_row) {
  using C = Compute<T>;
  using Adapters = AdapterBackward<T>;
  const Adapters adapters(call);
  const RowParts parts(call.rows);
  std::vector<typename Adapters::Sums> sums(parts.count);
  std::vector<std::vector<C>> weight_sums(parts.count);
  const auto block = [&](int64_t first, int64_t last, auto& scratch, int64_t part) {
    adapters.start_block(first, last, scratch);
    if (adapters.wants_a()) {
      adapters.add_a(first, last, y_rows(first, last, scratch.y.data()), scratch, sums[part]);
    }
    for (int64_t few = first; few < last && call.dy != nullptr; few += Adapters::kFewRows) {
      const int64_t rows = std::min(Adapters::kFewRows, last - few);
      adapters.make_gradient(first, few, rows, scratch);
      for (int64_t i = 0; i < rows; ++i) {
        backward_row(few + i, scratch.gradient.data() + i * call.columns,
                     dweight == nullptr ? nullptr : weight_sums[part].data());
      }
    }
  };
  workers.run(parts.count, [&](int64_t begin, int64_t end) {
    auto scratch = adapters.scratch();
    for (int64_t part = begin; part < end; ++part) {
      sums[part] = adapters.empty_sums();
      if (dweight != nullptr) weight_sums[part].resize(call.columns);
      for (int64_t row = parts.begin(part); row < parts.end(part); row += Adapters::kBlock) {
        block(row, std::min(row + Adapters::kBlock, parts.end(part)), scratch, part);
      }
    }
  });
  adapters.write_a(sums, workers);
  if (dweight == nullptr) return;
  std::fill(dweight, dweight + call.columns, C{0});
  for (const auto& part : weight_sums) add_row(part.data(), call.columns, dweight);
}

}  // namespace radgpt::kernels
