#include "kernels/lora_linear/adapter_launch.cuh"
#include "kernels/lora_linear/lora_input_backward.cuh"
#include "kernels/lora_linear/lora_input_forward.cuh"

namespace radgpt::kernels {

namespace {

constexpr const char* kForward = "lora_input_forward";
constexpr const char* kBackward = "lora_input_backward";

}  // namespace

void lora_input_forward_cuda(const LoraInputForward<BFloat16>& call, Stream stream) {
  check_bordered_output(kForward, call);
  check_aligned(kForward, "x", call.x);
  const Grid grid{.x = (call.rows + kRowsPerBlock - 1) / kRowsPerBlock,
                  .shared_bytes = bordered_shared_bytes(call.border)};
  with_adapter_sizes(call.inputs, [&](auto adapters, auto tiles) {
    launch(kForward, lora_input_forward_kernel<adapters(), tiles()>, grid, kBlockThreads, stream,
           call);
  });
}

size_t lora_input_backward_workspace(const LoraInputBackward<BFloat16>& call) {
  return da_workspace(call);
}

void lora_input_backward_cuda(const LoraInputBackward<BFloat16>& call, Workspace workspace,
                              Stream stream) {
  check_input_backward(kBackward, call, call.dx);
  check_aligned(kBackward, "x", call.x);
  check_workspace(kBackward, workspace, da_workspace(call));
  const InputBackward backward = input_backward_of(call, workspace);
  const bool fits = with_backward_sizes(call.inputs, [&](auto adapters, auto tiles) {
    launch(kBackward, lora_input_backward_kernel<adapters(), tiles()>,
           input_backward_grid(call.rows, call.columns), kBlockThreads, stream, call, backward);
  });
  if (!fits) refuse_wide_adapters(kBackward);
  finish_da(call, backward, stream);
}

}  // namespace radgpt::kernels
