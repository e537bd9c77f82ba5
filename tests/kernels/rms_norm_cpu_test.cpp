#include "kernels/rms_norm/rms_norm.h"
#include "tests/kernels/kernel_check.h"

namespace radgpt::kernels {
namespace {

TEMPLATE_TEST_CASE("RMSNorm on the CPU: forward and backward are as accurate as the chain", "",
                   float, double, BFloat16) {
  using T = TestType;
  for (InputShape shape : odd_input_shapes()) {
    for (const bool residual : {false, true}) {
      shape.residual = residual;
      INFO(text_of(shape) << (residual ? " with residual" : ""));
      expect_kernel([&](CallMemory& memory) { return Cases<T>::rms_norm_forward(memory, shape); },
                    rms_norm_forward_cpu<T>);
      expect_kernel([&](CallMemory& memory) { return Cases<T>::rms_norm_backward(memory, shape); },
                    rms_norm_backward_cpu<T>);
    }
  }
}

TEST_CASE("RMSNorm on the CPU: casts before it multiplies by the weight, as Baichuan2 does") {
  CallMemory memory(2);
  const auto call =
      Cases<BFloat16>::rms_norm_forward(memory, {.rows = 1, .columns = 500, .adapters = {}});
  rms_norm_forward_cpu(call, OneWorker());
  int64_t differ = 0;
  for (int64_t k = 0; k < 500; ++k) {
    const float quotient = call.x[k] * call.inverse_rms[0], weight = call.weight[k];
    CHECK(call.y[k].bits == BFloat16(BFloat16(quotient) * weight).bits);
    differ += call.y[k].bits != BFloat16(quotient * weight).bits;
  }
  CHECK(differ > 0);
}

TEST_CASE("RMSNorm on the CPU: without dy only dA is written, the same as with it") {
  const InputShape shape{.rows = 70, .columns = 40, .adapters = {{4, 0.1}, {8, 0.0}}, .border = 16};
  CallMemory memory(2);
  auto call = Cases<float>::rms_norm_backward(memory, shape);
  rms_norm_backward_cpu(call, OneWorker());
  const WrittenArrays all = written(call);
  memory.reset();
  call.dy = nullptr;
  call.dx = nullptr;
  call.dweight = nullptr;
  rms_norm_backward_cpu(call, OneWorker());
  const WrittenArrays some = written(call);
  CHECK(some.size() == 2);
  for (const auto& [name, values] : some) CHECK(values == all.at(name));
}

TEST_CASE("RMSNorm on the CPU: no rows give zero sums") {
  CallMemory memory(3);
  const auto call = Cases<float>::rms_norm_backward(
      memory, {.rows = 0, .columns = 40, .adapters = {{4, 0.1}}, .border = 16});
  rms_norm_backward_cpu(call, OneWorker());
  CHECK(written(call).at("da0").values == std::vector<double>(160));
  CHECK(written(call).at("dweight").values == std::vector<double>(40));
}

}  // namespace
}  // namespace radgpt::kernels
