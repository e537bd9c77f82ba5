#include "libradgpt/ops/linear_input.h"

namespace radgpt {

namespace {

template <typename T>
struct GateUpRow {
  const T* gate;
  const T* up;
  int64_t width;
};

/// 1 / (1 + e^-x)
template <typename C>
[[gnu::always_inline]] inline void sigmoid(Lanes<C>& x) {
  x = -x;
  exponentiate(x);
  x = C{1} / (C{1} + x);
}

template <typename T>
[[gnu::target_clones("avx512f", "avx2", "default")]] void swiglu(const GateUpRow<T>& row, T* x) {
  using C = Compute<T>;
  for (int64_t i = 0; i < row.width; i += kLanes<C>) {
    const int64_t left = row.width - i;
    Lanes<C> gate, up;
    take(row.gate + i, left, gate);
    take(row.up + i, left, up);
    Lanes<C> s = gate;
    sigmoid<C>(s);
    put(gate * s * up, left, x + i);
  }
}

/// With s = sigmoid(gate): dup = dx gate s, dgate = dx up s (1 + gate (1 - s)).
template <typename T>
[[gnu::target_clones("avx512f", "avx2", "default")]] void swiglu_backward(const GateUpRow<T>& row,
                                                                          const Compute<T>* dx,
                                                                          T* dgate, T* dup) {
  using C = Compute<T>;
  for (int64_t i = 0; i < row.width; i += kLanes<C>) {
    const int64_t left = row.width - i;
    Lanes<C> gate, up, gradient;
    take(row.gate + i, left, gate);
    take(row.up + i, left, up);
    take(dx + i, left, gradient);
    Lanes<C> s = gate;
    sigmoid<C>(s);
    put(gradient * gate * s, left, dup + i);
    put(gradient * up * s * (C{1} + gate * (C{1} - s)), left, dgate + i);
  }
}

template <typename T>
class SwigluInput : public LinearInput<T> {
 public:
  explicit SwigluInput(const InputSource& source)
      : gate_up_(source.source.const_data_ptr<T>()), width_(source.columns()) {}

  void write_row(int64_t row, T* x) const override { swiglu(at_row(row), x); }

  void backward_row(int64_t row, const Compute<T>* gradient, T* source_gradient,
                    Compute<T>*) const override {
    swiglu_backward(at_row(row), gradient, source_gradient, source_gradient + width_);
  }

 private:
  GateUpRow<T> at_row(int64_t row) const {
    const T* gate = gate_up_ + row * 2 * width_;
    return {gate, gate + width_, width_};
  }

  const T* gate_up_;
  int64_t width_;
};

}  // namespace

InputSource InputSource::swiglu(const at::Tensor& gate_up) {
  require(gate_up.dim() == 2 && gate_up.size(1) % 2 == 0,
          "swiglu: gate_up must be [rows, 2 * in], got ", gate_up.sizes());
  return {InputKind::kSwiglu, gate_up.detach().contiguous(), {}, {}};
}

template <typename T>
std::unique_ptr<LinearInput<T>> make_swiglu_input(const InputSource& source) {
  return std::make_unique<SwigluInput<T>>(source);
}

template std::unique_ptr<LinearInput<float>> make_swiglu_input(const InputSource&);
template std::unique_ptr<LinearInput<double>> make_swiglu_input(const InputSource&);
template std::unique_ptr<LinearInput<c10::BFloat16>> make_swiglu_input(const InputSource&);

}  // namespace radgpt
