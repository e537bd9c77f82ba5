#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>

#include <vector>

#include "libradgpt/ops/bordered_rows.h"
#include "libradgpt/ops/row_loops.h"
#include "libradgpt/ops/tile_product.h"

namespace radgpt {

namespace {

constexpr int64_t kColumnsPerTask = 256;
constexpr int64_t kRowsPerTile = 64;

template <typename T>
class BGradient {
  using C = Compute<T>;

 public:
  BGradient(const at::Tensor& dy, const at::Tensor& border, const LoraPair& pair)
      : dy_(dy.const_data_ptr<T>() + pair.row_begin),
        dy_stride_(dy.size(1)),
        rows_(dy.size(0)),
        width_(pair.row_end - pair.row_begin),
        rank_(pair.rank()),
        scale_(static_cast<C>(pair.scale)),
        s_(rows_ * rank_) {
    const T* s = border.const_data_ptr<T>() + pair.column;
    for (int64_t row = 0; row < rows_; ++row) {
      widen_row(s + row * border.size(1), rank_, s_.data() + row * rank_);
    }
  }

  /// result [width, rank]
  void run(C* result) const {
    const int64_t tasks = round_up(width_, kColumnsPerTask) / kColumnsPerTask;
    at::parallel_for(0, tasks, 1, [&](int64_t begin, int64_t end) {
      std::vector<C> tile(kRowsPerTile * kColumnsPerTask), sums(rank_ * kColumnsPerTask);
      for (int64_t task = begin; task < end; ++task) {
        const int64_t first = task * kColumnsPerTask;
        const int64_t columns = std::min(kColumnsPerTask, width_ - first);
        add_up(first, columns, tile, sums);
        for (int64_t j = 0; j < columns; ++j) {
          for (int64_t r = 0; r < rank_; ++r) {
            result[(first + j) * rank_ + r] = sums[r * kColumnsPerTask + j] * scale_;
          }
        }
      }
    });
  }

 private:
  /// sums [rank, kColumnsPerTask] = S^T dy[:, first : first + columns], in the order of rows.
  void add_up(int64_t first, int64_t columns, std::vector<C>& tile, std::vector<C>& sums) const {
    std::fill(sums.begin(), sums.end(), C{0});
    for (int64_t begin = 0; begin < rows_; begin += kRowsPerTile) {
      const int64_t rows = std::min(kRowsPerTile, rows_ - begin);
      for (int64_t r = 0; r < rows; ++r) {
        widen_row(dy_ + (begin + r) * dy_stride_ + first, columns,
                  tile.data() + r * kColumnsPerTask);
      }
      tile_product<C>({rank_, columns, rows, s_.data() + begin * rank_, 1, rank_, tile.data(),
                       kColumnsPerTask, sums.data(), kColumnsPerTask},
                      TileResult::kAdd);
    }
  }

  const T* dy_;
  int64_t dy_stride_;
  int64_t rows_;
  int64_t width_;
  int64_t rank_;
  C scale_;
  std::vector<C> s_;  ///< [rows, rank]
};

}  // namespace

at::Tensor b_gradient(const at::Tensor& dy, const at::Tensor& border, const LoraPair& pair) {
  return visit_type(dy.scalar_type(), "lora_linear", [&](auto zero) {
    using T = decltype(zero);
    at::Tensor result = at::empty({pair.row_end - pair.row_begin, pair.rank()},
                                  dy.options().dtype(c10::CppTypeToScalarType<Compute<T>>::value));
    BGradient<T>(dy, border, pair).run(result.mutable_data_ptr<Compute<T>>());
    return result;
  });
}

}  // namespace radgpt
