#include <cmath>

#include "kernels/lora_linear/bordered_rows_cpu.h"
#include "kernels/rms_norm/rms_norm.h"

namespace radgpt::kernels {

namespace {

template <typename T>
struct NormRow {
  const T* x;
  const T* weight;
  Compute<T> inverse_rms;
  int64_t width;
};

template <typename T>
[[RADGPT_VECTOR_CLONES]] void add_residual(const T* x, const T* residual, int64_t width, T* sum) {
  using C = Compute<T>;
  for (int64_t i = 0; i < width; i += kLanes<C>) {
    Lanes<C> values, more;
    take(x + i, width - i, values);
    take(residual + i, width - i, more);
    put(values + more, width - i, sum + i);
  }
}

template <typename T>
[[RADGPT_VECTOR_CLONES]] Compute<T> mean_square(const T* x, int64_t width) {
  using C = Compute<T>;
  Lanes<C> sums{};
  for (int64_t i = 0; i < width; i += kLanes<C>) {
    Lanes<C> values;
    take(x + i, width - i, values);
    sums += values * values;
  }
  return sum_of<C>(sums) / static_cast<C>(width);
}

template <typename T>
[[RADGPT_VECTOR_CLONES]] void normalise(const NormRow<T>& row, T* y) {
  using C = Compute<T>;
  for (int64_t i = 0; i < row.width; i += kLanes<C>) {
    const int64_t left = row.width - i;
    Lanes<C> values, weights;
    take(row.x + i, left, values);
    take(row.weight + i, left, weights);
    values *= row.inverse_rms;
    round_to<T>(values);  // the cast before the weight
    put(values * weights, left, y + i);
  }
}

/// With n = x / rms and g = dy * weight: dx = (g - n mean(g n)) / rms + residual, which may be
/// null.
template <typename T>
[[RADGPT_VECTOR_CLONES]] void normalise_backward(const NormRow<T>& row, const Compute<T>* dy,
                                                 const T* residual, T* dx) {
  using C = Compute<T>;
  Lanes<C> sums{};
  for (int64_t i = 0; i < row.width; i += kLanes<C>) {
    const int64_t left = row.width - i;
    Lanes<C> x, weights, gradient;
    take(row.x + i, left, x);
    take(row.weight + i, left, weights);
    take(dy + i, left, gradient);
    sums += gradient * weights * x;
  }
  const C projection =
      sum_of<C>(sums) / static_cast<C>(row.width) * row.inverse_rms * row.inverse_rms;
  for (int64_t i = 0; i < row.width; i += kLanes<C>) {
    const int64_t left = row.width - i;
    Lanes<C> x, weights, gradient, more;
    take(row.x + i, left, x);
    take(row.weight + i, left, weights);
    take(dy + i, left, gradient);
    Lanes<C> values = (gradient * weights - x * projection) * row.inverse_rms;
    if (residual != nullptr) {
      take(residual + i, left, more);
      values += more;
    }
    put(values, left, dx + i);
  }
}

template <typename T>
[[RADGPT_VECTOR_CLONES]] void add_weight_gradient(const NormRow<T>& row, const Compute<T>* dy,
                                                  Compute<T>* dweight) {
  using C = Compute<T>;
  for (int64_t i = 0; i < row.width; i += kLanes<C>) {
    const int64_t left = row.width - i;
    Lanes<C> x, gradient, sum;
    take(row.x + i, left, x);
    take(dy + i, left, gradient);
    take(dweight + i, left, sum);
    put(sum + gradient * (x * row.inverse_rms), left, dweight + i);
  }
}

}  // namespace

template <typename T>
void rms_norm_forward_cpu(const RmsNormForward<T>& call, const Workers& workers) {
  using C = Compute<T>;
  const int64_t columns = call.columns;
  write_bordered_rows<T>(call, workers, [&](int64_t row, T* y) {
    const T* x = call.x + row * columns;
    if (call.residual != nullptr) {
      add_residual(x, call.residual + row * columns, columns, call.sum + row * columns);
      x = call.sum + row * columns;
    }
    const C inverse = C{1} / std::sqrt(mean_square(x, columns) + static_cast<C>(call.epsilon));
    call.inverse_rms[row] = inverse;
    normalise<T>({x, call.weight, inverse, columns}, y);
  });
}

template <typename T>
void rms_norm_backward_cpu(const RmsNormBackward<T>& call, const Workers& workers) {
  const int64_t columns = call.columns;
  const auto norm_row = [&](int64_t row) -> NormRow<T> {
    return {call.x + row * columns, call.weight, call.inverse_rms[row], columns};
  };
  bordered_rows_backward<T>(
      call, call.dweight, workers,
      rows_by<T>(columns, [&](int64_t row, T* y) { normalise(norm_row(row), y); }),
      [&](int64_t row, const Compute<T>* dy, Compute<T>* dweight) {
        const T* residual = call.residual_gradient;
        if (residual != nullptr) residual += row * columns;
        normalise_backward(norm_row(row), dy, residual, call.dx + row * columns);
        if (dweight != nullptr) add_weight_gradient(norm_row(row), dy, dweight);
      });
}

template void rms_norm_forward_cpu(const RmsNormForward<float>&, const Workers&);
template void rms_norm_forward_cpu(const RmsNormForward<double>&, const Workers&);
template void rms_norm_forward_cpu(const RmsNormForward<BFloat16>&, const Workers&);
template void rms_norm_backward_cpu(const RmsNormBackward<float>&, const Workers&);
template void rms_norm_backward_cpu(const RmsNormBackward<double>&, const Workers&);
template void rms_norm_backward_cpu(const RmsNormBackward<BFloat16>&, const Workers&);

}  // namespace radgpt::kernels
