#include <algorithm>
#include <vector>

#include "kernels/lora_linear/lora_output.h"
#include "kernels/lora_linear/row_parts_cpu.h"
#include "kernels/primitives/row_loops.h"
#include "kernels/primitives/thin_product.h"

namespace radgpt::kernels {

namespace {

/// A block of rows of dY at a time: dS of it is finished, dB grows.
template <typename T>
class OutputBackward {
  using C = Compute<T>;
  using Sums = std::vector<ThinSums<C>>;  ///< per adapter dB transposed, without the scale

 public:
  explicit OutputBackward(const LoraOutputBackward<T>& call) : call_(call) {
    for (int i = 0; i < call.count; ++i) {
      const AdapterOutput<T>& adapter = call.adapters[i];
      b_.emplace_back(call.weight_border + adapter.row_begin * call.weight_stride + adapter.column,
                      adapter.rank, adapter.row_end - adapter.row_begin, 1, call.weight_stride);
      widest_ = std::max(widest_, b_.back().padded_rank());
    }
  }

  void run(const Workers& workers) const {
    const RowParts parts(call_.rows);
    std::vector<Sums> sums(parts.count);
    workers.run(parts.count, [&](int64_t begin, int64_t end) {
      std::vector<C> ds(kMostThinRows * widest_);
      for (int64_t part = begin; part < end; ++part) {
        sums[part] = empty_sums();
        for (int64_t row = parts.begin(part); row < parts.end(part); row += kMostThinRows) {
          const int64_t rows = std::min(kMostThinRows, parts.end(part) - row);
          write_ds(row, rows, ds);
          for (int i = 0; i < call_.count; ++i) add_db(i, row, rows, sums[part][i]);
        }
      }
    });
    for (int i = 0; i < call_.count; ++i) write_db(i, sums, workers);
  }

 private:
  Sums empty_sums() const {
    Sums sums;
    for (int i = 0; i < call_.count; ++i) {
      const AdapterOutput<T>& adapter = call_.adapters[i];
      sums.emplace_back(adapter.rank, adapter.row_end - adapter.row_begin);
    }
    return sums;
  }

  /// The adapter's columns of rows of dY.
  ThinRows<T> dy(int i, int64_t row, int64_t rows) const {
    const AdapterOutput<T>& adapter = call_.adapters[i];
    return {call_.dy + row * call_.out_features + adapter.row_begin, rows,
            adapter.row_end - adapter.row_begin, call_.out_features};
  }

  void write_ds(int64_t row, int64_t rows, std::vector<C>& ds) const {
    T* out = call_.ds + row * call_.ds_stride;
    for (int64_t r = 0; r < rows; ++r) std::fill_n(out + r * call_.ds_stride, call_.border, T{});
    for (int i = 0; i < call_.count; ++i) {
      b_[i].multiply_by_transpose(dy(i, row, rows), ds.data());
      for (int64_t r = 0; r < rows; ++r) {
        round_row(ds.data() + r * b_[i].padded_rank(), b_[i].rank(),
                  out + r * call_.ds_stride + call_.adapters[i].column);
      }
    }
  }

  void add_db(int i, int64_t row, int64_t rows, ThinSums<C>& sums) const {
    const AdapterOutput<T>& adapter = call_.adapters[i];
    const T* s = call_.s + row * call_.s_stride + adapter.column;
    sums.add(ThinRows<T>{s, rows, adapter.rank, call_.s_stride}, dy(i, row, rows));
  }

  void write_db(int i, const std::vector<Sums>& parts, const Workers& workers) const {
    const AdapterOutput<T>& adapter = call_.adapters[i];
    constexpr int64_t kColumnsPerTask = 256;
    const int64_t columns = adapter.row_end - adapter.row_begin;
    workers.run(divide_up(columns, kColumnsPerTask), [&](int64_t begin, int64_t end) {
      const int64_t first = begin * kColumnsPerTask;
      const int64_t count = std::min(end * kColumnsPerTask, columns) - first;
      std::vector<C> row(count);
      for (int64_t r = 0; r < adapter.rank; ++r) {
        std::fill(row.begin(), row.end(), C{0});
        for (const Sums& part : parts) add_row(part[i].row(r) + first, count, row.data());
        for (int64_t j = 0; j < count; ++j) {
          adapter.db[(first + j) * adapter.rank + r] = row[j] * static_cast<C>(adapter.scale);
        }
      }
    });
  }

  const LoraOutputBackward<T>& call_;
  std::vector<ThinMatrix<T>> b_;  ///< per adapter scale * B, transposed: [rank, its rows]
  int64_t widest_ = 0;
};

}  // namespace

template <typename T>
void lora_output_backward_cpu(const LoraOutputBackward<T>& call, const Workers& workers) {
  OutputBackward<T>(call).run(workers);
}

template void lora_output_backward_cpu(const LoraOutputBackward<float>&, const Workers&);
template void lora_output_backward_cpu(const LoraOutputBackward<double>&, const Workers&);
template void lora_output_backward_cpu(const LoraOutputBackward<BFloat16>&, const Workers&);

}  // namespace radgpt::kernels
