#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>

#include <cmath>

#include "libradgpt/ops/linear_input.h"

namespace radgpt {

namespace {

constexpr int64_t kRowsPerTask = 16;

template <typename T>
struct NormRow {
  const T* x;
  const T* weight;
  Compute<T> inverse_rms;
  int64_t width;
};

template <typename T>
[[gnu::target_clones("avx512f", "avx2", "default")]] Compute<T> mean_square(const T* x,
                                                                            int64_t width) {
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
[[gnu::target_clones("avx512f", "avx2", "default")]] void normalise(const NormRow<T>& row, T* y) {
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

/// With n = x / rms and g = dy * weight: dx = (g - n mean(g n)) / rms.
template <typename T>
[[gnu::target_clones("avx512f", "avx2", "default")]] void normalise_backward(const NormRow<T>& row,
                                                                             const Compute<T>* dy,
                                                                             T* dx) {
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
    Lanes<C> x, weights, gradient;
    take(row.x + i, left, x);
    take(row.weight + i, left, weights);
    take(dy + i, left, gradient);
    put((gradient * weights - x * projection) * row.inverse_rms, left, dx + i);
  }
}

template <typename T>
[[gnu::target_clones("avx512f", "avx2", "default")]] void add_weight_gradient(const NormRow<T>& row,
                                                                              const Compute<T>* dy,
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

template <typename T>
class RmsNormInput : public LinearInput<T> {
 public:
  explicit RmsNormInput(const InputSource& source)
      : x_(source.source.const_data_ptr<T>()),
        weight_(source.norm.weight.const_data_ptr<T>()),
        inverse_rms_(source.inverse_rms.const_data_ptr<Compute<T>>()),
        width_(source.columns()) {}

  void write_row(int64_t row, T* x) const override { normalise(at_row(row), x); }

  void backward_row(int64_t row, const Compute<T>* gradient, T* source_gradient,
                    Compute<T>* norm_gradient) const override {
    normalise_backward(at_row(row), gradient, source_gradient);
    if (norm_gradient != nullptr) add_weight_gradient(at_row(row), gradient, norm_gradient);
  }

 private:
  NormRow<T> at_row(int64_t row) const {
    return {x_ + row * width_, weight_, inverse_rms_[row], width_};
  }

  const T* x_;
  const T* weight_;
  const Compute<T>* inverse_rms_;
  int64_t width_;
};

template <typename T>
at::Tensor inverse_rms_of(const at::Tensor& x, double epsilon) {
  using C = Compute<T>;
  const int64_t width = x.size(1);
  at::Tensor result = at::empty({x.size(0)}, x.options().dtype(c10::CppTypeToScalarType<C>::value));
  const T* values = x.const_data_ptr<T>();
  C* inverse = result.mutable_data_ptr<C>();
  at::parallel_for(0, x.size(0), kRowsPerTask, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      inverse[row] =
          C{1} / std::sqrt(mean_square(values + row * width, width) + static_cast<C>(epsilon));
    }
  });
  return result;
}

}  // namespace

InputSource InputSource::rms_norm(const at::Tensor& x, const NormWeight& norm) {
  require(x.dim() == 2 && norm.weight.sizes() == at::IntArrayRef{x.size(1)} &&
              norm.weight.scalar_type() == x.scalar_type(),
          "rms_norm: x [rows, hidden] and weight [hidden] of one type, got ", x.sizes(), " ",
          x.scalar_type(), " and ", norm.weight.sizes(), " ", norm.weight.scalar_type());
  InputSource result{InputKind::kRmsNorm, x.detach().contiguous(), norm, {}};
  result.norm.weight = norm.weight.detach().contiguous();
  result.inverse_rms = visit_type(x.scalar_type(), "rms_norm", [&](auto zero) {
    return inverse_rms_of<decltype(zero)>(result.source, norm.epsilon);
  });
  return result;
}

template <typename T>
std::unique_ptr<LinearInput<T>> make_rms_norm_input(const InputSource& source) {
  return std::make_unique<RmsNormInput<T>>(source);
}

template std::unique_ptr<LinearInput<float>> make_rms_norm_input(const InputSource&);
template std::unique_ptr<LinearInput<double>> make_rms_norm_input(const InputSource&);
template std::unique_ptr<LinearInput<c10::BFloat16>> make_rms_norm_input(const InputSource&);

}  // namespace radgpt
