#include "kernels/lora_linear/bordered_rows_cpu.h"
#include "kernels/lora_linear/lora_input.h"

namespace radgpt::kernels {

template <typename T>
void lora_input_forward_cpu(const LoraInputForward<T>& call, const Workers& workers) {
  write_bordered_rows<T>(call, workers, [&](int64_t row, T* y) {
    std::copy_n(call.x + row * call.columns, call.columns, y);
  });
}

template <typename T>
void lora_input_backward_cpu(const LoraInputBackward<T>& call, const Workers& workers) {
  bordered_rows_backward<T>(
      call, nullptr, workers,
      [&](int64_t first, int64_t, T*) { return call.x + first * call.columns; },
      [&](int64_t row, const Compute<T>* dy, Compute<T>*) {
        round_row(dy, call.columns, call.dx + row * call.columns);
      });
}

template void lora_input_forward_cpu(const LoraInputForward<float>&, const Workers&);
template void lora_input_forward_cpu(const LoraInputForward<double>&, const Workers&);
template void lora_input_forward_cpu(const LoraInputForward<BFloat16>&, const Workers&);
template void lora_input_backward_cpu(const LoraInputBackward<float>&, const Workers&);
template void lora_input_backward_cpu(const LoraInputBackward<double>&, const Workers&);
template void lora_input_backward_cpu(const LoraInputBackward<BFloat16>&, const Workers&);

}  // namespace radgpt::kernels
