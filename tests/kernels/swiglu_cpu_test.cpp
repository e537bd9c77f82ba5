#include "kernels/swiglu/swiglu.h"
#include "tests/kernels/kernel_check.h"

namespace radgpt::kernels {
namespace {

TEMPLATE_TEST_CASE("SwiGLU on the CPU: forward and backward are as accurate as the chain", "",
                   float, double, BFloat16) {
  using T = TestType;
  for (const InputShape& shape : odd_input_shapes()) {
    INFO(text_of(shape));
    expect_kernel([&](CallMemory& memory) { return Cases<T>::swiglu_forward(memory, shape); },
                  swiglu_forward_cpu<T>);
    expect_kernel([&](CallMemory& memory) { return Cases<T>::swiglu_backward(memory, shape); },
                  swiglu_backward_cpu<T>);
  }
}

TEST_CASE("SwiGLU on the CPU: the gradient may take the place of gate and up") {
  CallMemory memory(2);
  auto call = Cases<BFloat16>::swiglu_backward(
      memory, {.rows = 90, .columns = 40, .adapters = {{4, 0.1}}, .border = 16});
  swiglu_backward_cpu(call, OneWorker());
  const WrittenArrays apart = written(call);
  call.d_gate_up = const_cast<BFloat16*>(call.gate_up);
  swiglu_backward_cpu(call, OneWorker());
  CHECK(written(call) == apart);
}

TEST_CASE("SwiGLU on the CPU: without dy only dA is written, the same as with it") {
  CallMemory memory(2);
  auto call = Cases<float>::swiglu_backward(
      memory, {.rows = 70, .columns = 40, .adapters = {{4, 0.1}, {8, 0.0}}, .border = 16});
  swiglu_backward_cpu(call, OneWorker());
  const WrittenArrays all = written(call);
  call.dy = nullptr;
  call.d_gate_up = nullptr;
  swiglu_backward_cpu(call, OneWorker());
  for (const auto& [name, values] : written(call)) CHECK(values == all.at(name));
}

}  // namespace
}  // namespace radgpt::kernels
