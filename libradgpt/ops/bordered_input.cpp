#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>

#include "libradgpt/ops/bordered_rows.h"
#include "libradgpt/ops/pair_operand.h"
#include "libradgpt/ops/row_loops.h"
#include "libradgpt/ops/tile_product.h"

namespace radgpt {

namespace {

constexpr int64_t kRowsPerTask = 16;

/// Writes X and S into X_hat, a few rows at a time, so that S is made of what is still in cache.
template <typename T>
class InputWriter {
 public:
  InputWriter(const BorderedProduct& product, const at::Tensor& x_hat)
      : input_(make_linear_input<T>(product.input)),
        pairs_(pair_operands<T>(product.weight.pairs, product.key)),
        columns_(product.input.columns()),
        stride_(x_hat.size(1)),
        x_hat_(x_hat.mutable_data_ptr<T>()),
        masked_stride_(round_up(columns_, kMaskStep)) {
    for (const auto& pair : pairs_) widest_ = std::max(widest_, pair.padded_rank);
  }

  /// Tasks [begin, end), of kRowsPerTask rows each.
  void run(int64_t begin, int64_t end, int64_t rows) const {
    Scratch scratch{std::vector<C>(kRowsPerTask * masked_stride_), std::vector<C>(masked_stride_),
                    std::vector<C>(kRowsPerTask * widest_)};
    for (int64_t task = begin; task < end; ++task) {
      const int64_t first = task * kRowsPerTask;
      write_rows(first, std::min(first + kRowsPerTask, rows), scratch);
    }
  }

 private:
  using C = Compute<T>;
  struct Scratch {
    std::vector<C> masked;   ///< [kRowsPerTask, columns] dropout(X)
    std::vector<C> factors;  ///< [columns]
    std::vector<C> s;        ///< [kRowsPerTask, rank]
  };

  void write_rows(int64_t begin, int64_t end, Scratch& scratch) const {
    for (int64_t row = begin; row < end; ++row) {
      T* x = x_hat_ + row * stride_;
      input_->write_row(row, x);
      std::fill(x + columns_, x + stride_, T{0});
    }
    bool widened = false;  // pairs without dropout share one copy
    for (const PairOperand<T>& pair : pairs_) {
      if (pair.mask.drops() || !widened) apply_mask(pair, begin, end, scratch);
      widened = !pair.mask.drops();
      tile_product<C>(
          {end - begin, pair.rank, columns_, scratch.masked.data(), masked_stride_, 1,
           pair.a_transposed.data(), pair.padded_rank, scratch.s.data(), pair.padded_rank},
          TileResult::kOverwrite);
      for (int64_t row = begin; row < end; ++row) {
        round_row(scratch.s.data() + (row - begin) * pair.padded_rank, pair.rank,
                  x_hat_ + row * stride_ + columns_ + pair.column);
      }
    }
  }

  void apply_mask(const PairOperand<T>& pair, int64_t begin, int64_t end, Scratch& scratch) const {
    for (int64_t row = begin; row < end; ++row) {
      const T* x = x_hat_ + row * stride_;
      C* masked = scratch.masked.data() + (row - begin) * masked_stride_;
      if (pair.mask.drops()) {
        mask_row(pair.mask, row, columns_, scratch.factors.data());
        multiply_row(x, scratch.factors.data(), columns_, masked);
      } else {
        widen_row(x, columns_, masked);
      }
    }
  }

  std::unique_ptr<LinearInput<T>> input_;
  std::vector<PairOperand<T>> pairs_;
  int64_t columns_;
  int64_t stride_;
  T* x_hat_;
  int64_t masked_stride_;
  int64_t widest_ = 0;
};

}  // namespace

at::Tensor write_bordered_input(const BorderedProduct& product) {
  const int64_t rows = product.input.rows();
  at::Tensor x_hat = at::empty({rows, product.input.columns() + used_border(product.weight)},
                               product.input.source.options());
  visit_type(x_hat.scalar_type(), "lora_linear", [&](auto zero) {
    const InputWriter<decltype(zero)> writer(product, x_hat);
    at::parallel_for(0, round_up(rows, kRowsPerTask) / kRowsPerTask, 1,
                     [&](int64_t begin, int64_t end) { writer.run(begin, end, rows); });
  });
  return x_hat;
}

}  // namespace radgpt
