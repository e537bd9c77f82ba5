#include "kernels/lora_linear/adapter_launch.cuh"
#include "kernels/swiglu/swiglu_backward.cuh"
#include "kernels/swiglu/swiglu_forward.cuh"

namespace radgpt::kernels {

namespace {

constexpr const char* kForward = "swiglu_forward";
constexpr const char* kBackward = "swiglu_backward";

}  // namespace

void swiglu_forward_cuda(const SwigluForward<BFloat16>& call, Stream stream) {
  check_bordered_output(kForward, call);
  check_array(kForward, "gate_up", call.gate_up, call.rows);
  check_backward_sizes(kForward, call.inputs);  // rather now than after a forward pass
  launch_bordered(kForward, call, stream, [](auto adapters, auto tiles) {
    return swiglu_forward_kernel<adapters(), tiles()>;
  });
}

size_t swiglu_backward_workspace(const SwigluBackward<BFloat16>& call) {
  return da_workspace(call);
}

void swiglu_backward_cuda(const SwigluBackward<BFloat16>& call, Workspace workspace,
                          Stream stream) {
  check_input_backward(kBackward, call, call.d_gate_up);
  check_array(kBackward, "gate_up", call.gate_up, call.rows);
  check_backward_sizes(kBackward, call.inputs);
  check_workspace(kBackward, workspace, da_workspace(call));
  const Grid grid = input_backward_grid(call.rows, call.columns);
  const InputBackward backward = input_backward_of(call, workspace);
  with_backward_sizes(call.inputs, [&](auto adapters, auto tiles) {
    launch(kBackward, swiglu_backward_kernel<adapters(), tiles()>, grid, kBlockThreads, stream,
           call, backward);
  });
  finish_da(call, backward, stream);
}

}  // namespace radgpt::kernels
