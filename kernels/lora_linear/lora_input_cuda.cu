#include "kernels/lora_linear/adapter_launch.cuh"
#include "kernels/lora_linear/lora_input_backward.cuh"
#include "kernels/lora_linear/lora_input_forward.cuh"

namespace radgpt::kernels {

namespace {

constexpr const char* kForward = "lora_input_forward";
constexpr const char* kBackward = "lora_input_backward";

/// All adapters in one pass where their sums fit the registers, else one pass each, which adds its
/// share to what the one before has written.
void launch_backward(const LoraInputBackward<BFloat16>& call, const Workspace& workspace,
                     Stream stream) {
  const InputBackward backward = input_backward_of(call, workspace);
  const bool together = with_backward_sizes(call.inputs, [&](auto adapters, auto tiles) {
    launch(kBackward, lora_input_backward_kernel<adapters(), tiles()>,
           input_backward_grid(call.rows, call.columns), kBlockThreads, stream, call, backward);
  });
  if (together) return finish_da(call, backward, stream);
  LoraInputBackward<BFloat16> one = call;
  for (int i = 0; i < call.inputs.count; ++i) {
    one.inputs = {1, {call.inputs.adapters[i]}};
    one.gradients.da[0] = call.gradients.da[i];
    launch_backward(one, workspace, stream);
    one.dy = call.dx;
    one.dy_stride = call.columns;
  }
}

}  // namespace

void lora_input_forward_cuda(const LoraInputForward<BFloat16>& call, Stream stream) {
  check_bordered_output(kForward, call);
  check_array(kForward, "x", call.x, call.rows);
  launch_bordered(kForward, call, stream, [](auto adapters, auto tiles) {
    return lora_input_forward_kernel<adapters(), tiles()>;
  });
}

size_t lora_input_backward_workspace(const LoraInputBackward<BFloat16>& call) {
  return da_workspace(call);
}

void lora_input_backward_cuda(const LoraInputBackward<BFloat16>& call, Workspace workspace,
                              Stream stream) {
  check_input_backward(kBackward, call, call.dx);
  check_array(kBackward, "x", call.x, call.rows);
  check_workspace(kBackward, workspace, da_workspace(call));
  launch_backward(call, workspace, stream);
}

}  // namespace radgpt::kernels
