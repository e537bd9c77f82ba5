#include <algorithm>
#include <vector>

#include "kernels/lora_linear/lora_output.h"
#include "kernels/primitives/row_loops.h"
#include "kernels/primitives/thin_product.h"

namespace radgpt::kernels {

namespace {

constexpr int64_t kColumnsPerTask = 256;
constexpr int64_t kRowsPerTask = 16;

/// Columns [first, first + columns) of dB of one adapter, summed over all rows in their order.
template <typename T>
void write_db(const LoraOutputBackward<T>& call, const AdapterOutput<T>& adapter, int64_t first,
              int64_t columns) {
  using C = Compute<T>;
  ThinSums<C> sums(adapter.rank, columns);
  for (int64_t row = 0; row < call.rows; row += kMostThinRows) {
    const int64_t rows = std::min(kMostThinRows, call.rows - row);
    const T* dy = call.dy + row * call.out_features + adapter.row_begin + first;
    const T* s = call.s + row * call.s_stride + adapter.column;
    sums.add(ThinRows<T>{s, rows, adapter.rank, call.s_stride},
             ThinRows<T>{dy, rows, columns, call.out_features});
  }
  for (int64_t j = 0; j < columns; ++j) {
    for (int64_t r = 0; r < adapter.rank; ++r) {
      adapter.db[(first + j) * adapter.rank + r] = sums.row(r)[j] * static_cast<C>(adapter.scale);
    }
  }
}

/// dS of all adapters.
template <typename T>
class SGradient {
  using C = Compute<T>;

 public:
  explicit SGradient(const LoraOutputBackward<T>& call) : call_(call) {
    for (int i = 0; i < call.count; ++i) {
      const AdapterOutput<T>& adapter = call.adapters[i];
      b_.emplace_back(call.weight_border + adapter.row_begin * call.weight_stride + adapter.column,
                      adapter.rank, adapter.row_end - adapter.row_begin, 1, call.weight_stride);
      widest_ = std::max(widest_, b_.back().padded_rank());
    }
  }

  void run(const Workers& workers) const {
    workers.run(round_up(call_.rows, kRowsPerTask) / kRowsPerTask, [&](int64_t begin, int64_t end) {
      std::vector<C> ds(kRowsPerTask * widest_);
      for (int64_t task = begin; task < end; ++task) {
        const int64_t first = task * kRowsPerTask;
        write_rows(first, std::min(kRowsPerTask, call_.rows - first), ds);
      }
    });
  }

 private:
  void write_rows(int64_t first, int64_t rows, std::vector<C>& ds) const {
    T* out = call_.ds + first * call_.ds_stride;
    for (int64_t i = 0; i < rows; ++i) {
      std::fill_n(out + i * call_.ds_stride, call_.border, T{});
    }
    for (int a = 0; a < call_.count; ++a) {
      const AdapterOutput<T>& adapter = call_.adapters[a];
      b_[a].multiply_by_transpose({call_.dy + first * call_.out_features + adapter.row_begin, rows,
                                   b_[a].columns(), call_.out_features},
                                  ds.data());
      for (int64_t i = 0; i < rows; ++i) {
        round_row(ds.data() + i * b_[a].padded_rank(), adapter.rank,
                  out + i * call_.ds_stride + adapter.column);
      }
    }
  }

  const LoraOutputBackward<T>& call_;
  std::vector<ThinMatrix<T>> b_;  ///< per adapter scale * B, transposed: [rank, its rows]
  int64_t widest_ = 0;
};

}  // namespace

template <typename T>
void lora_output_backward_cpu(const LoraOutputBackward<T>& call, const Workers& workers) {
  for (int i = 0; i < call.count; ++i) {
    const AdapterOutput<T>& adapter = call.adapters[i];
    const int64_t width = adapter.row_end - adapter.row_begin;
    workers.run(round_up(width, kColumnsPerTask) / kColumnsPerTask,
                [&](int64_t begin, int64_t end) {
                  for (int64_t first = begin * kColumnsPerTask;
                       first < std::min(end * kColumnsPerTask, width); first += kColumnsPerTask) {
                    write_db(call, adapter, first, std::min(kColumnsPerTask, width - first));
                  }
                });
  }
  if (call.ds != nullptr) SGradient<T>(call).run(workers);
}

template void lora_output_backward_cpu(const LoraOutputBackward<float>&, const Workers&);
template void lora_output_backward_cpu(const LoraOutputBackward<double>&, const Workers&);
template void lora_output_backward_cpu(const LoraOutputBackward<BFloat16>&, const Workers&);

}  // namespace radgpt::kernels
