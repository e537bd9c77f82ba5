#include "kernels/lora_linear/bordered_rows_cpu.h"
#include "kernels/swiglu/swiglu.h"

namespace radgpt::kernels {

namespace {

template <typename T>
struct GateUpRow {
  const T* gate;
  const T* up;
  int64_t width;
};

template <typename T>
GateUpRow<T> gate_up_row(const T* gate_up, int64_t row, int64_t columns) {
  const T* gate = gate_up + row * 2 * columns;
  return {gate, gate + columns, columns};
}

/// 1 / (1 + e^-x)
template <typename C>
[[gnu::always_inline]] inline void sigmoid(Lanes<C>& x) {
  x = -x;
  exponentiate(x);
  x = C{1} / (C{1} + x);
}

template <typename T>
[[RADGPT_VECTOR_CLONES]] void swiglu(const GateUpRow<T>& row, T* y) {
  using C = Compute<T>;
  for (int64_t i = 0; i < row.width; i += kLanes<C>) {
    const int64_t left = row.width - i;
    Lanes<C> gate, up;
    take(row.gate + i, left, gate);
    take(row.up + i, left, up);
    Lanes<C> s = gate;
    sigmoid<C>(s);
    put(gate * s * up, left, y + i);
  }
}

/// With s = sigmoid(gate): dup = dy gate s, dgate = dy up s (1 + gate (1 - s)).
template <typename T>
[[RADGPT_VECTOR_CLONES]] void swiglu_backward(const GateUpRow<T>& row, const Compute<T>* dy,
                                              T* dgate, T* dup) {
  using C = Compute<T>;
  for (int64_t i = 0; i < row.width; i += kLanes<C>) {
    const int64_t left = row.width - i;
    Lanes<C> gate, up, gradient;
    take(row.gate + i, left, gate);
    take(row.up + i, left, up);
    take(dy + i, left, gradient);
    Lanes<C> s = gate;
    sigmoid<C>(s);
    put(gradient * gate * s, left, dup + i);
    put(gradient * up * s * (C{1} + gate * (C{1} - s)), left, dgate + i);
  }
}

}  // namespace

template <typename T>
void swiglu_forward_cpu(const SwigluForward<T>& call, const Workers& workers) {
  write_bordered_rows<T>(call, workers, [&](int64_t row, T* y) {
    swiglu(gate_up_row(call.gate_up, row, call.columns), y);
  });
}

template <typename T>
void swiglu_backward_cpu(const SwigluBackward<T>& call, const Workers& workers) {
  bordered_rows_backward<T>(call, nullptr, workers,
                            rows_by<T>(call.columns,
                                       [&](int64_t row, T* y) {
                                         swiglu(gate_up_row(call.gate_up, row, call.columns), y);
                                       }),
                            [&](int64_t row, const Compute<T>* dy, Compute<T>*) {
                              T* dgate = call.d_gate_up + row * 2 * call.columns;
                              swiglu_backward(gate_up_row(call.gate_up, row, call.columns), dy,
                                              dgate, dgate + call.columns);
                            });
}

template void swiglu_forward_cpu(const SwigluForward<float>&, const Workers&);
template void swiglu_forward_cpu(const SwigluForward<double>&, const Workers&);
template void swiglu_forward_cpu(const SwigluForward<BFloat16>&, const Workers&);
template void swiglu_backward_cpu(const SwigluBackward<float>&, const Workers&);
template void swiglu_backward_cpu(const SwigluBackward<double>&, const Workers&);
template void swiglu_backward_cpu(const SwigluBackward<BFloat16>&, const Workers&);

}  // namespace radgpt::kernels
