#include "kernels/lora_linear/lora_input.h"
#include "tests/kernels/kernel_check.h"

namespace radgpt::kernels {
namespace {

TEMPLATE_TEST_CASE("LoRA input on the CPU: forward and backward are as accurate as the chain", "",
                   float, double, BFloat16) {
  using T = TestType;
  for (const InputShape& shape : odd_input_shapes()) {
    INFO(text_of(shape));
    expect_kernel([&](CallMemory& memory) { return Cases<T>::lora_input_forward(memory, shape); },
                  lora_input_forward_cpu<T>);
    expect_kernel([&](CallMemory& memory) { return Cases<T>::lora_input_backward(memory, shape); },
                  lora_input_backward_cpu<T>);
  }
}

TEST_CASE("LoRA input on the CPU: the copy is exact, border columns of no adapter are zero") {
  CallMemory memory(2);
  const auto call = Cases<BFloat16>::lora_input_forward(
      memory, {.rows = 33, .columns = 50, .adapters = {{3, 0.1}}, .border = 16});
  lora_input_forward_cpu(call, OneWorker());
  for (int64_t row = 0; row < 33; ++row) {
    const BFloat16* y = call.y + row * call.y_stride;
    for (int64_t k = 0; k < 50; ++k) CHECK(y[k].bits == call.x[row * 50 + k].bits);
    for (int64_t k = 53; k < 66; ++k) CHECK(y[k].bits == 0);
  }
}

TEST_CASE("LoRA input on the CPU: the gradient may take the place of dy") {
  CallMemory memory(2);
  auto call = Cases<BFloat16>::lora_input_backward(
      memory, {.rows = 90, .columns = 40, .adapters = {{4, 0.1}}, .border = 16});
  lora_input_backward_cpu(call, OneWorker());
  const WrittenArrays apart = written(call);
  call.dx = const_cast<BFloat16*>(call.dy);
  lora_input_backward_cpu(call, OneWorker());
  CHECK(written(call) == apart);
}

TEST_CASE("LoRA input on the CPU: without dA wanted dx is the same") {
  CallMemory memory(2);
  auto call = Cases<float>::lora_input_backward(
      memory, {.rows = 70, .columns = 40, .adapters = {{4, 0.1}, {8, 0.0}}, .border = 16});
  lora_input_backward_cpu(call, OneWorker());
  const WrittenArrays all = written(call);
  call.gradients.da[0] = call.gradients.da[1] = nullptr;
  lora_input_backward_cpu(call, OneWorker());
  CHECK(written(call) == WrittenArrays{{"dx", all.at("dx")}});
}

}  // namespace
}  // namespace radgpt::kernels
