#include <ATen/Parallel.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/zeros.h>

#include "libradgpt/ops/bordered_rows.h"
#include "libradgpt/ops/pair_operand.h"
#include "libradgpt/ops/row_loops.h"
#include "libradgpt/ops/tile_product.h"

namespace radgpt {

namespace {

/// Rows are summed over in at most this many parts, whatever the number of threads, each part in
/// order on one thread and the parts in order afterwards: sums do not depend on the threads.
constexpr int64_t kMostParts = 32;
constexpr int64_t kFewestRowsPerPart = 64;

/// Rows that fit a core's cache at a time: a multiple of 8.
int64_t rows_per_block(int64_t columns) {
  return std::clamp<int64_t>(32768 / columns / 8 * 8, 8, 32);
}

/// Sums of one part of the rows.
template <typename C>
struct PartialSums {
  std::vector<std::vector<C>> a;  ///< per pair [rank, padded columns]
  std::vector<C> norm;
};

template <typename T>
class RowBackward {
  using C = Compute<T>;

 public:
  /// `d` holds [dX0 | dS] or, when no source gradient is wanted, dS alone.
  RowBackward(const BorderedProduct& product, const at::Tensor& d, const ProductNeeds& needs)
      : product_(product),
        needs_(needs),
        input_(make_linear_input<T>(product.input)),
        pairs_(pair_operands<T>(product.weight.pairs, product.key)),
        columns_(product.input.columns()),
        padded_(round_up(columns_, kMaskStep)),
        block_(rows_per_block(columns_)),
        d_(d.const_data_ptr<T>()),
        d_stride_(d.size(1)),
        d_border_(wants_source() ? columns_ : 0) {
    if (wants_source()) gradients_.source = at::empty_like(product.input.source);
  }

  ProductGradients run() {
    const int64_t rows = product_.input.rows();
    const int64_t parts = std::clamp<int64_t>(rows / kFewestRowsPerPart, 1, kMostParts);
    const int64_t rows_per_part = round_up(rows, parts) / parts;
    std::vector<PartialSums<C>> sums(parts);
    at::parallel_for(0, parts, 1, [&](int64_t begin, int64_t end) {
      Scratch scratch(*this);
      for (int64_t part = begin; part < end; ++part) {
        sums[part] = empty_sums();
        const int64_t last = std::min((part + 1) * rows_per_part, rows);
        for (int64_t row = part * rows_per_part; row < last; row += block_) {
          block_backward(row, std::min(row + block_, last), scratch, sums[part]);
        }
      }
    });
    add_up(sums);
    return std::move(gradients_);
  }

 private:
  struct Scratch {
    explicit Scratch(const RowBackward& of)
        : x(of.block_ * of.padded_),
          masked(of.block_ * of.padded_),
          update(of.block_ * of.padded_),
          gradient(of.block_ * of.padded_),
          factors(of.block_ * of.padded_),
          ds(of.block_ * used_border(of.product_.weight)) {}
    std::vector<T> x;         ///< X again
    std::vector<C> masked;    ///< dropout(X)
    std::vector<C> update;    ///< dS A
    std::vector<C> gradient;  ///< dX
    std::vector<C> factors;
    std::vector<C> ds;
  };

  bool wants_source() const { return needs_.source || needs_.norm; }

  PartialSums<C> empty_sums() const {
    PartialSums<C> sums;
    if (needs_.norm) sums.norm.resize(columns_);
    for (const auto& pair : pairs_) {
      sums.a.emplace_back(needs_.adapters ? pair.rank * pair.padded_columns : 0);
    }
    return sums;
  }

  void block_backward(int64_t begin, int64_t end, Scratch& scratch, PartialSums<C>& sums) const {
    for (int64_t row = begin; row < end; ++row) {
      const int64_t at = (row - begin) * padded_;
      if (wants_source()) widen_row(d_ + row * d_stride_, columns_, scratch.gradient.data() + at);
      if (needs_.adapters) input_->write_row(row, scratch.x.data() + at);
    }
    for (size_t p = 0; p < pairs_.size(); ++p) {
      pair_backward(pairs_[p], begin, end, scratch, sums.a[p]);
    }
    if (!wants_source()) return;
    T* source = gradients_.source.template mutable_data_ptr<T>();
    const int64_t stride = gradients_.source.size(1);
    for (int64_t row = begin; row < end; ++row) {
      input_->backward_row(row, scratch.gradient.data() + (row - begin) * padded_,
                           source + row * stride, needs_.norm ? sums.norm.data() : nullptr);
    }
  }

  void pair_backward(const PairOperand<T>& pair, int64_t begin, int64_t end, Scratch& scratch,
                     std::vector<C>& da) const {
    const int64_t rows = end - begin;
    for (int64_t r = 0; r < rows; ++r) {
      widen_row(d_ + (begin + r) * d_stride_ + d_border_ + pair.column, pair.rank,
                scratch.ds.data() + r * pair.rank);
      if (pair.mask.drops()) {
        mask_row(pair.mask, begin + r, columns_, scratch.factors.data() + r * padded_);
      }
    }
    if (wants_source()) add_update(pair, rows, scratch);
    if (!needs_.adapters) return;
    for (int64_t r = 0; r < rows; ++r) {
      const T* x = scratch.x.data() + r * padded_;
      C* masked = scratch.masked.data() + r * padded_;
      if (pair.mask.drops()) {
        multiply_row(x, scratch.factors.data() + r * padded_, columns_, masked);
      } else {
        widen_row(x, columns_, masked);
      }
    }
    tile_product<C>({pair.rank, columns_, rows, scratch.ds.data(), 1, pair.rank,
                     scratch.masked.data(), padded_, da.data(), pair.padded_columns},
                    TileResult::kAdd);
  }

  /// dX += mask (dS A) / (1 - dropout)
  void add_update(const PairOperand<T>& pair, int64_t rows, Scratch& scratch) const {
    const bool drops = pair.mask.drops();
    C* result = drops ? scratch.update.data() : scratch.gradient.data();
    tile_product<C>({rows, columns_, pair.rank, scratch.ds.data(), pair.rank, 1, pair.a.data(),
                     pair.padded_columns, result, padded_},
                    drops ? TileResult::kOverwrite : TileResult::kAdd);
    if (!drops) return;
    for (int64_t r = 0; r < rows; ++r) {
      const int64_t at = r * padded_;
      add_product_row(scratch.update.data() + at, scratch.factors.data() + at, columns_,
                      scratch.gradient.data() + at);
    }
  }

  void add_up(const std::vector<PartialSums<C>>& sums) {
    const auto type = at::TensorOptions().dtype(c10::CppTypeToScalarType<C>::value);
    if (needs_.norm) {
      gradients_.norm = at::zeros({columns_}, type);
      for (const auto& part : sums) {
        add_row(part.norm.data(), columns_, gradients_.norm.template mutable_data_ptr<C>());
      }
    }
    for (size_t p = 0; p < pairs_.size() && needs_.adapters; ++p) {
      at::Tensor& total = gradients_.a.emplace_back(at::zeros({pairs_[p].rank, columns_}, type));
      for (int64_t r = 0; r < pairs_[p].rank; ++r) {
        C* row = total.mutable_data_ptr<C>() + r * columns_;
        for (const auto& part : sums) {
          add_row(part.a[p].data() + r * pairs_[p].padded_columns, columns_, row);
        }
      }
    }
  }

  const BorderedProduct& product_;
  const ProductNeeds needs_;
  std::unique_ptr<LinearInput<T>> input_;
  std::vector<PairOperand<T>> pairs_;
  int64_t columns_;
  int64_t padded_;
  int64_t block_;
  const T* d_;
  int64_t d_stride_;
  int64_t d_border_;
  ProductGradients gradients_;
};

}  // namespace

ProductGradients backward_rows(const BorderedProduct& product, const at::Tensor& d,
                               const ProductNeeds& needs) {
  return visit_type(d.scalar_type(), "lora_linear", [&](auto zero) {
    return RowBackward<decltype(zero)>(product, d, needs).run();
  });
}

}  // namespace radgpt
