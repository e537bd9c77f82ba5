// The LoRA kernels of the GPU.

#include "tests/kernels/cases.h"
#include "tests/kernels/cuda_check.h"

namespace radgpt::kernels {
namespace {

using Case = Cases<BFloat16>;

/// Rows and columns that no tile divides, one to three adapters, with a residual and without; then
/// all ranks with all masks.
std::vector<InputShape> input_shapes() {
  std::vector<InputShape> shapes = {
      {1, 8, {{1, 0.0}}, 8},
      {1, 40, {{4, 0.5}}, 16, 8, true},
      {17, 72, {{8, 0.1}}, 8},
      {16, 256, {{16, 0.1}}, 16, 48},
      {37, 264, {{8, 0.1}, {8, 0.3}}, 16, 8, true},
      {53, 136, {{6, 0.1}, {3, 0.0}}, 16},
      {23, 520, {{8, 0.05}, {8, 0.1}, {5, 0.9}}, 24},
      {29, 328, {{64, 0.1}}, 64},
      {531, 24, {{16, 0.1}}, 16, 0, true},
      {19, 48, {{32, 0.2}, {32, 0.0}}, 64, 0, true},
  };
  for (const int64_t rank : {1, 4, 8, 16, 64}) {
    for (const double dropout : {0.0, 0.1, 0.5}) {
      shapes.push_back({21, 136, {{rank, dropout}}, (rank + 15) / 16 * 16, 8, rank == 4});
    }
  }
  return shapes;
}

void run(const RmsNormForward<BFloat16>& call, CallMemory&) {
  rms_norm_forward_cuda(call, nullptr);
}
void run(const RmsNormBackward<BFloat16>& call, CallMemory& memory) {
  rms_norm_backward_cuda(call, memory.workspace(rms_norm_backward_workspace(call)), nullptr);
}
void run(const SwigluForward<BFloat16>& call, CallMemory&) { swiglu_forward_cuda(call, nullptr); }
void run(const SwigluBackward<BFloat16>& call, CallMemory& memory) {
  swiglu_backward_cuda(call, memory.workspace(swiglu_backward_workspace(call)), nullptr);
}
void run(const LoraInputForward<BFloat16>& call, CallMemory&) {
  lora_input_forward_cuda(call, nullptr);
}
void run(const LoraInputBackward<BFloat16>& call, CallMemory& memory) {
  lora_input_backward_cuda(call, memory.workspace(lora_input_backward_workspace(call)), nullptr);
}
void run(const LoraOutputBackward<BFloat16>& call, CallMemory& memory) {
  lora_output_backward_cuda(call, memory.workspace(lora_output_backward_workspace(call)), nullptr);
}

/// make(memory, shape) is the call.
template <typename Shape, typename Make>
void expect_right(uint32_t seed, const Shape& shape, const Make& make) {
  CallMemory memory(seed);
  const auto call = make(memory, shape);
  expect_right_kernel(memory, call, [&] { run(call, memory); });
}

template <typename Make>
void expect_right_for_each_shape(const Make& make) {
  uint32_t seed = 0;
  for (const InputShape& shape : input_shapes()) {
    INFO(text_of(shape));
    expect_right(++seed, shape, make);
  }
}

}  // namespace

TEST_CASE("RMSNorm on a GPU: forward is as accurate as the plain chain", "[cuda]") {
  expect_right_for_each_shape(Case::rms_norm_forward);
}

TEST_CASE("RMSNorm on a GPU: backward is as accurate as the plain chain", "[cuda]") {
  expect_right_for_each_shape(Case::rms_norm_backward);
}

TEST_CASE("SwiGLU on a GPU: forward is as accurate as the plain chain", "[cuda]") {
  expect_right_for_each_shape(Case::swiglu_forward);
}

TEST_CASE("SwiGLU on a GPU: backward is as accurate as the plain chain", "[cuda]") {
  expect_right_for_each_shape(Case::swiglu_backward);
}

TEST_CASE("Plain input on a GPU: forward is as accurate as the plain chain", "[cuda]") {
  expect_right_for_each_shape(Case::lora_input_forward);
}

TEST_CASE("Plain input on a GPU: backward is as accurate as the plain chain", "[cuda]") {
  expect_right_for_each_shape(Case::lora_input_backward);
}

TEST_CASE("Output on a GPU: dS and dB are as accurate as the plain chain", "[cuda]") {
  const std::vector<OutputShape> shapes = {
      {1, 8, {1}, 8, 0, 8},          {17, 72, {4}, 16, 8, 8},        {37, 264, {8, 8}, 16, 0, 8},
      {531, 40, {16}, 16, 0, 8},     {23, 520, {8, 3, 5}, 16, 8, 8}, {29, 648, {64}, 64, 0, 8},
      {530, 272, {32, 32}, 64, 0, 8}};
  uint32_t seed = 100;
  for (const OutputShape& shape : shapes) {
    CAPTURE(shape.rows, shape.out_features, shape.ranks.size());
    expect_right(++seed, shape, Case::lora_output_backward);
  }
}

TEST_CASE("RMSNorm on a GPU: three adapters of 64 ranks take a pass each for dA", "[cuda]") {
  const InputShape shape{21, 296, {{64, 0.1}, {64, 0.2}, {64, 0.0}}, 192};
  expect_right(11, shape, Case::rms_norm_forward);
  expect_right(12, shape, Case::rms_norm_backward);
}

TEST_CASE("Input kernels on a GPU: without adapters only X and its gradient", "[cuda]") {
  const InputShape shape{19, 264, {}};
  expect_right(1, shape, Case::rms_norm_forward);
  expect_right(2, shape, Case::rms_norm_backward);
  expect_right(3, shape, Case::swiglu_forward);
  expect_right(4, shape, Case::swiglu_backward);
}

TEST_CASE("Input kernels on a GPU: a gradient may take the place of what it is made from",
          "[cuda]") {
  const InputShape shape{37, 136, {{8, 0.1}, {3, 0.0}}, 16};
  expect_right(21, shape, [](CallMemory& memory, const InputShape& sizes) {
    auto call = Case::lora_input_backward(memory, sizes);
    memory.leave(call.dx);
    call.dy = call.dx = memory.in_place(call.dy);
    return call;
  });
  expect_right(22, shape, [](CallMemory& memory, const InputShape& sizes) {
    auto call = Case::swiglu_backward(memory, sizes);
    memory.leave(call.d_gate_up);
    call.gate_up = call.d_gate_up = memory.in_place(call.gate_up);
    return call;
  });
}

TEST_CASE("Input kernels on a GPU: dA alone, without a gradient of the input", "[cuda]") {
  const InputShape shape{37, 136, {{8, 0.1}, {3, 0.0}}, 16, 8};
  expect_right(23, shape, [](CallMemory& memory, const InputShape& sizes) {
    auto call = Case::lora_input_backward(memory, sizes);
    call.dy = nullptr;
    call.dx = memory.leave(call.dx);
    return call;
  });
  expect_right(24, shape, [](CallMemory& memory, const InputShape& sizes) {
    auto call = Case::swiglu_backward(memory, sizes);
    call.dy = nullptr;
    call.d_gate_up = memory.leave(call.d_gate_up);
    return call;
  });
  expect_right(25, shape, [](CallMemory& memory, const InputShape& sizes) {
    auto call = Case::rms_norm_backward(memory, sizes);
    call.dy = nullptr;
    call.dx = memory.leave(call.dx);
    call.dweight = memory.leave(call.dweight);
    return call;
  });
}

TEST_CASE("Input kernels on a GPU: gradients that are not wanted are left alone", "[cuda]") {
  const InputShape shape{37, 136, {{8, 0.1}, {3, 0.0}}, 16, 8};
  const auto without_da = [](CallMemory& memory, auto call) {
    for (auto& da : call.gradients.da) da = da ? memory.leave(da) : nullptr;
    return call;
  };
  expect_right(26, shape, [&](CallMemory& memory, const InputShape& sizes) {
    return without_da(memory, Case::lora_input_backward(memory, sizes));
  });
  expect_right(27, shape, [&](CallMemory& memory, const InputShape& sizes) {
    return without_da(memory, Case::swiglu_backward(memory, sizes));
  });
  expect_right(28, shape, [&](CallMemory& memory, const InputShape& sizes) {
    auto call = without_da(memory, Case::rms_norm_backward(memory, sizes));
    call.dweight = memory.leave(call.dweight);
    return call;
  });
}

TEST_CASE("Kernels of a GPU: refuse what they cannot do and say why", "[cuda]") {
  CallMemory memory(1);
  auto call = Case::rms_norm_forward(memory, {3, 12, {{4, 0.0}}, 8});
  CHECK_THROWS_WITH(rms_norm_forward_cuda(call, nullptr),
                    "rms_norm_forward: columns must be a multiple of 8 on a GPU, got 12");
  call = Case::rms_norm_forward(memory, {3, 16, {{4, 0.0}}, 8});
  call.inputs.adapters[0].column = 6;
  CHECK_THROWS_WITH(rms_norm_forward_cuda(call, nullptr),
                    "rms_norm_forward: columns [6, 10) of an adapter are not in a border of 8");
  call = Case::rms_norm_forward(memory, {3, 16, {{4, 0.0}}, 8});
  call.inputs.adapters[0].rank = 65;
  CHECK_THROWS_WITH(rms_norm_forward_cuda(call, nullptr),
                    "rms_norm_forward: rank must be in [1, 64], got 65");
  const auto backward = Case::lora_input_backward(memory, {3, 16, {{4, 0.0}}, 8});
  CHECK_THROWS_WITH(lora_input_backward_cuda(backward, {}, nullptr),
                    "lora_input_backward: workspace must have 256 bytes, got 0");
}

namespace {

/// Runs a call that has no rows, of which LibTorch gives null pointers: its sums over rows are
/// zero.
template <typename Call, typename Run>
void expect_zero_sums(CallMemory& memory, const Call& call, size_t workspace, const Run& run) {
  CHECK(workspace == 0);
  run(call, Workspace{}, nullptr);
  synchronise();
  memory.expect_written();
  for (const auto& [name, array] : written(call)) {
    INFO(name);
    CHECK(array.values == std::vector<double>(array.values.size()));
  }
}

const InputShape kNoRows{0, 24, {{8, 0.1}, {3, 0.0}}, 16};

template <typename Call>
Call without_rows(Call call) {
  call.dy = nullptr;
  call.gradients.ds = nullptr;
  return call;
}

}  // namespace

TEST_CASE("RMSNorm on a GPU: without rows dA and dweight are zero", "[cuda]") {
  CallMemory memory(1);
  auto call = without_rows(Case::rms_norm_backward(memory, kNoRows));
  call.x = call.s = nullptr;
  call.inverse_rms = nullptr;
  call.dx = nullptr;
  expect_zero_sums(memory, call, rms_norm_backward_workspace(call), rms_norm_backward_cuda);
  CHECK(std::vector<float>(call.dweight, call.dweight + call.columns) == std::vector<float>(24));
}

TEST_CASE("SwiGLU on a GPU: without rows dA is zero", "[cuda]") {
  CallMemory memory(2);
  auto call = without_rows(Case::swiglu_backward(memory, kNoRows));
  call.gate_up = call.d_gate_up = nullptr;
  expect_zero_sums(memory, call, swiglu_backward_workspace(call), swiglu_backward_cuda);
}

TEST_CASE("Plain input on a GPU: without rows dA is zero", "[cuda]") {
  CallMemory memory(3);
  auto call = without_rows(Case::lora_input_backward(memory, kNoRows));
  call.x = call.dx = nullptr;
  expect_zero_sums(memory, call, lora_input_backward_workspace(call), lora_input_backward_cuda);
}

TEST_CASE("Output on a GPU: without rows dB is zero", "[cuda]") {
  CallMemory memory(4);
  auto call = Case::lora_output_backward(memory, {0, 24, {8, 3}, 16, 0, 8});
  call.dy = call.s = nullptr;
  call.ds = nullptr;
  expect_zero_sums(memory, call, lora_output_backward_workspace(call), lora_output_backward_cuda);
}

TEST_CASE("Input kernels on a GPU: a border without adapters is zero", "[cuda]") {
  const InputShape shape{19, 72, {}, 16, 8};
  expect_right(1, shape, Case::rms_norm_forward);
  expect_right(2, shape, Case::swiglu_forward);
  expect_right(3, shape, Case::lora_input_forward);
}

// 51 ranks, but nine tiles of eight, more than the registers hold.
TEST_CASE("Input kernels on a GPU: three adapters of 17 ranks", "[cuda]") {
  const InputShape shape{21, 72, {{17, 0.1}, {17, 0.0}, {17, 0.5}}, 56, 8};
  expect_right(1, shape, Case::rms_norm_backward);
  expect_right(2, shape, Case::lora_input_forward);
  expect_right(3, shape, Case::lora_input_backward);
  CallMemory memory(4);
  CHECK_THROWS_WITH(swiglu_forward_cuda(Case::swiglu_forward(memory, shape), nullptr),
                    "swiglu_forward: 3 adapters of one input may have 16 ranks each on a GPU");
  const auto wide = Case::swiglu_backward(memory, {3, 16, {{64, 0.0}, {64, 0.0}}, 128});
  CHECK_THROWS_WITH(
      swiglu_backward_cuda(wide, memory.workspace(swiglu_backward_workspace(wide)), nullptr),
      "swiglu_backward: 2 adapters of one input may have 32 ranks each on a GPU");
}

namespace {

/// What a kernel says of a good call that `spoil` has spoilt.
template <typename Call>
struct Refusal {
  const char* message;
  void (*spoil)(Call& call);
};

template <typename Call, typename Run>
void expect_refusals(const Call& good, const std::vector<Refusal<Call>>& refusals, const Run& run) {
  for (const Refusal<Call>& refusal : refusals) {
    Call call = good;
    refusal.spoil(call);
    CHECK_THROWS_WITH(run(call), Catch::Matchers::ContainsSubstring(refusal.message));
  }
}

const InputShape kSmall{3, 16, {{4, 0.0}, {3, 0.1}}, 8, 0, true};

}  // namespace

TEST_CASE("RMSNorm on a GPU: refuses arrays that are missing or astray", "[cuda]") {
  CallMemory memory(1);
  using Forward = RmsNormForward<BFloat16>;
  expect_refusals<Forward>(
      Case::rms_norm_forward(memory, kSmall),
      {{"x must not be null", [](Forward& call) { call.x = nullptr; }},
       {"y must not be null", [](Forward& call) { call.y = nullptr; }},
       {"weight must not be null", [](Forward& call) { call.weight = nullptr; }},
       {"inverse_rms must not be null", [](Forward& call) { call.inverse_rms = nullptr; }},
       {"sum must be aligned", [](Forward& call) { ++call.sum; }},
       {"come together", [](Forward& call) { call.sum = nullptr; }},
       {"A must not be null", [](Forward& call) { call.inputs.adapters[1].a = nullptr; }},
       {"y_stride must be at least 24", [](Forward& call) { call.y_stride = 16; }}},
      [](const Forward& call) { rms_norm_forward_cuda(call, nullptr); });
  using Backward = RmsNormBackward<BFloat16>;
  const Workspace workspace = memory.workspace(1 << 12);
  expect_refusals<Backward>(
      Case::rms_norm_backward(memory, kSmall),
      {{"inverse_rms must not be null", [](Backward& call) { call.inverse_rms = nullptr; }},
       {"dS must not be null", [](Backward& call) { call.gradients.ds = nullptr; }},
       {"dA must be aligned", [](Backward& call) { ++call.gradients.da[1]; }},
       {"dweight must be aligned", [](Backward& call) { ++call.dweight; }},
       {"dy_stride must be at least 16", [](Backward& call) { call.dy_stride = 8; }},
       {"ds_stride must be at least 4", [](Backward& call) { call.gradients.ds_stride = 0; }},
       {"s must not be null", [](Backward& call) { call.s = nullptr; }},
       {"s_stride must be at least 4", [](Backward& call) { call.s_stride = 0; }},
       {"column -1", [](Backward& call) { call.inputs.adapters[0].column = -1; }},
       {"dweight needs dy", [](Backward& call) { call.dy = call.dx = nullptr; }}},
      [&](const Backward& call) { rms_norm_backward_cuda(call, workspace, nullptr); });
}

TEST_CASE("Output on a GPU: refuses arrays that are missing or astray", "[cuda]") {
  CallMemory memory(1);
  using Call = LoraOutputBackward<BFloat16>;
  const Workspace workspace = memory.workspace(1 << 12);
  expect_refusals<Call>(
      Case::lora_output_backward(memory, {3, 32, {4, 3}, 8, 8, 8}),
      {{"dy must not be null", [](Call& call) { call.dy = nullptr; }},
       {"s must not be null", [](Call& call) { call.s = nullptr; }},
       {"ds must not be null", [](Call& call) { call.ds = nullptr; }},
       {"weight_border must be aligned", [](Call& call) { ++call.weight_border; }},
       {"dB must not be null", [](Call& call) { call.adapters[1].db = nullptr; }},
       {"s_stride must be at least 8", [](Call& call) { call.s_stride = 0; }},
       {"ds_stride must be a multiple of 8", [](Call& call) { call.ds_stride = 12; }},
       {"weight_stride must be at least 8", [](Call& call) { call.weight_stride = 0; }},
       {"rows [8, 32) have two adapters", [](Call& call) { call.adapters[1].row_begin = 8; }},
       {"row_begin must be a multiple", [](Call& call) { call.adapters[1].row_begin = -8; }}},
      [&](const Call& call) { lora_output_backward_cuda(call, workspace, nullptr); });
}

}  // namespace radgpt::kernels
