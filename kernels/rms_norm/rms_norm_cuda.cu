#include "kernels/lora_linear/adapter_launch.cuh"
#include "kernels/rms_norm/rms_norm_backward.cuh"
#include "kernels/rms_norm/rms_norm_forward.cuh"

namespace radgpt::kernels {

namespace {

constexpr const char* kForward = "rms_norm_forward";
constexpr const char* kBackward = "rms_norm_backward";

int64_t weight_row_blocks(int64_t rows) { return divide_up(rows, kWeightRows); }

int64_t row_blocks(int64_t rows) { return divide_up(rows, kRowsPerBlock); }

void launch_dx(const RmsNormBackward<BFloat16>& call, Stream stream) {
  const Grid grid{.x = row_blocks(call.rows)};
  with_adapter_sizes(call.inputs, [&](auto adapters, auto tiles) {
    launch(kBackward, rms_norm_dx_kernel<adapters(), tiles()>, grid, kBlockThreads, stream, call);
  });
}

/// All adapters in one pass over x where their sums fit the registers, else one pass each.
void launch_da(const RmsNormBackward<BFloat16>& call, const Workspace& workspace, Stream stream) {
  const InputBackward backward = input_backward_of(call, workspace);
  const bool together = with_backward_sizes(call.inputs, [&](auto adapters, auto tiles) {
    if constexpr (adapters() > 0) {
      launch(kBackward, rms_norm_da_kernel<adapters(), tiles()>,
             input_backward_grid(call.rows, call.columns), kBlockThreads, stream, call, backward);
    }
  });
  if (together) return finish_da(call, backward, stream);
  for (int i = 0; i < call.inputs.count; ++i) {
    RmsNormBackward<BFloat16> one = call;
    one.inputs = {1, {call.inputs.adapters[i]}};
    one.gradients.da[0] = call.gradients.da[i];
    launch_da(one, workspace, stream);
  }
}

void launch_dweight(const RmsNormBackward<BFloat16>& call, const Workspace& workspace,
                    Stream stream) {
  auto* partial = static_cast<float*>(workspace.data);
  launch(kBackward, rms_norm_dweight_kernel,
         {.x = divide_up(call.columns, kWeightThreads), .y = weight_row_blocks(call.rows)},
         kWeightThreads, stream, call, partial);
  sum_partials(partial, call.columns, weight_row_blocks(call.rows), 1.0f, call.dweight, stream);
}

}  // namespace

void rms_norm_forward_cuda(const RmsNormForward<BFloat16>& call, Stream stream) {
  check_bordered_output(kForward, call);
  check_array(kForward, "x", call.x, call.rows);
  check_array(kForward, "weight", call.weight, call.columns);
  check_array(kForward, "inverse_rms", call.inverse_rms, call.rows);
  check_aligned(kForward, "residual", call.residual);
  check_aligned(kForward, "sum", call.sum);
  require(call.rows == 0 || (call.residual == nullptr) == (call.sum == nullptr), kForward,
          ": residual and sum come together");
  launch_bordered(kForward, call, stream, [](auto adapters, auto tiles) {
    return rms_norm_forward_kernel<adapters(), tiles()>;
  });
}

size_t rms_norm_backward_workspace(const RmsNormBackward<BFloat16>& call) {
  const auto weight = static_cast<size_t>(weight_row_blocks(call.rows) * call.columns);
  // One after the other: the stream keeps them apart.
  return std::max(call.dweight != nullptr ? weight * sizeof(float) : 0, da_workspace(call));
}

void rms_norm_backward_cuda(const RmsNormBackward<BFloat16>& call, Workspace workspace,
                            Stream stream) {
  check_input_backward(kBackward, call, call.dx);
  check_array(kBackward, "x", call.x, call.rows);
  check_array(kBackward, "weight", call.weight, call.columns);
  check_array(kBackward, "inverse_rms", call.inverse_rms, call.rows);
  check_aligned(kBackward, "residual_gradient", call.residual_gradient);
  check_aligned(kBackward, "dweight", call.dweight);
  for (int i = 0; i < call.inputs.count && call.dy != nullptr; ++i) {
    const AdapterInput<BFloat16>& adapter = call.inputs.adapters[i];
    check_array(kBackward, "s", call.s, call.rows);
    check_stride(kBackward, "s_stride", call.s_stride, adapter.column + adapter.rank);
  }
  require(call.dweight == nullptr || call.rows == 0 || call.dy != nullptr, kBackward,
          ": dweight needs dy, got null");
  check_workspace(kBackward, workspace, rms_norm_backward_workspace(call));
  if (call.dy != nullptr) launch_dx(call, stream);
  if (call.dweight != nullptr) launch_dweight(call, workspace, stream);
  if (wants_da(call)) launch_da(call, workspace, stream);
}

}  // namespace radgpt::kernels
