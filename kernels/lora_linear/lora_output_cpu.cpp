#include <algorithm>
#include <vector>

#include "kernels/lora_linear/lora_output.h"
#include "kernels/primitives/lanes.h"
#include "kernels/primitives/row_loops.h"
#include "kernels/primitives/tile_product.h"

namespace radgpt::kernels {

namespace {

constexpr int64_t kColumnsPerTask = 256;
constexpr int64_t kRowsPerTile = 64;

/// dB of one adapter: tasks are columns of dY, so that each is summed over all rows by one worker.
template <typename T>
class BGradient {
  using C = Compute<T>;

 public:
  BGradient(const LoraOutputBackward<T>& call, const AdapterOutput<T>& adapter)
      : dy_(call.dy + adapter.row_begin),
        dy_stride_(call.out_features),
        rows_(call.rows),
        width_(adapter.row_end - adapter.row_begin),
        rank_(adapter.rank),
        scale_(static_cast<C>(adapter.scale)),
        result_(adapter.db),
        s_(rows_ * rank_) {
    for (int64_t row = 0; row < rows_; ++row) {
      widen_row(call.s + row * call.s_stride + adapter.column, rank_, s_.data() + row * rank_);
    }
  }

  void run(const Workers& workers) const {
    workers.run(
        round_up(width_, kColumnsPerTask) / kColumnsPerTask, [&](int64_t begin, int64_t end) {
          std::vector<C> tile(kRowsPerTile * kColumnsPerTask), sums(rank_ * kColumnsPerTask);
          for (int64_t task = begin; task < end; ++task) {
            const int64_t first = task * kColumnsPerTask;
            const int64_t columns = std::min(kColumnsPerTask, width_ - first);
            add_up(first, columns, tile, sums);
            for (int64_t j = 0; j < columns; ++j) {
              for (int64_t r = 0; r < rank_; ++r) {
                result_[(first + j) * rank_ + r] = sums[r * kColumnsPerTask + j] * scale_;
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
  C* result_;
  std::vector<C> s_;  ///< [rows, rank]
};

/// dS of all adapters: tasks are rows.
template <typename T>
class SGradient {
  using C = Compute<T>;

 public:
  explicit SGradient(const LoraOutputBackward<T>& call) : call_(call) {
    for (int i = 0; i < call.count; ++i) {
      const AdapterOutput<T>& adapter = call.adapters[i];
      const int64_t stride = round_up(adapter.rank, kLanes<C>);
      std::vector<C>& b = b_.emplace_back((adapter.row_end - adapter.row_begin) * stride);
      for (int64_t j = adapter.row_begin; j < adapter.row_end; ++j) {
        widen_row(call.weight_border + j * call.weight_stride + adapter.column, adapter.rank,
                  b.data() + (j - adapter.row_begin) * stride);
      }
    }
  }

  void run(const Workers& workers) const {
    workers.run(round_up(call_.rows, kRows) / kRows, [&](int64_t begin, int64_t end) {
      const int64_t width = round_up(call_.out_features, kLanes<C>);
      std::vector<C> dy(kRows * width), ds(kRows * kMostRank);
      for (int64_t task = begin; task < end; ++task) {
        const int64_t first = task * kRows, rows = std::min(kRows, call_.rows - first);
        for (int64_t r = 0; r < rows; ++r) {
          widen_row(call_.dy + (first + r) * call_.out_features, call_.out_features,
                    dy.data() + r * width);
          T* out = call_.ds + (first + r) * call_.ds_stride;
          std::fill(out, out + call_.border, T{});
        }
        for (int i = 0; i < call_.count; ++i) write_rows(i, first, rows, dy, ds);
      }
    });
  }

 private:
  static constexpr int64_t kRows = 16;

  void write_rows(int i, int64_t first, int64_t rows, const std::vector<C>& dy,
                  std::vector<C>& ds) const {
    const AdapterOutput<T>& adapter = call_.adapters[i];
    const int64_t stride = round_up(adapter.rank, kLanes<C>);
    tile_product<C>(
        {rows, adapter.rank, adapter.row_end - adapter.row_begin, dy.data() + adapter.row_begin,
         round_up(call_.out_features, kLanes<C>), 1, b_[i].data(), stride, ds.data(), stride},
        TileResult::kOverwrite);
    for (int64_t r = 0; r < rows; ++r) {
      round_row(ds.data() + r * stride, adapter.rank,
                call_.ds + (first + r) * call_.ds_stride + adapter.column);
    }
  }

  const LoraOutputBackward<T>& call_;
  std::vector<std::vector<C>> b_;  ///< per adapter scale * B, [its rows, padded rank]
};

}  // namespace

template <typename T>
void lora_output_backward_cpu(const LoraOutputBackward<T>& call, const Workers& workers) {
  for (int i = 0; i < call.count; ++i) BGradient<T>(call, call.adapters[i]).run(workers);
  if (call.ds != nullptr) SGradient<T>(call).run(workers);
}

template void lora_output_backward_cpu(const LoraOutputBackward<float>&, const Workers&);
template void lora_output_backward_cpu(const LoraOutputBackward<double>&, const Workers&);
template void lora_output_backward_cpu(const LoraOutputBackward<BFloat16>&, const Workers&);

}  // namespace radgpt::kernels
