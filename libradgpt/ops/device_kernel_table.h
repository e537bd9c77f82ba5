#pragma once

#include "libradgpt/ops/device_kernels.h"

namespace radgpt {

/// The functions NAME_cuda that this program is linked with: the kernels of the GPU in a build with
/// CUDA, or their source as the executor of the tests runs it.
inline DeviceKernels device_kernel_table(decltype(DeviceKernels::gemm) gemm,
                                         decltype(DeviceKernels::stream) stream) {
  return {.rms_norm_forward = kernels::rms_norm_forward_cuda,
          .rms_norm_backward = kernels::rms_norm_backward_cuda,
          .rms_norm_backward_workspace = kernels::rms_norm_backward_workspace,
          .swiglu_forward = kernels::swiglu_forward_cuda,
          .swiglu_backward = kernels::swiglu_backward_cuda,
          .swiglu_backward_workspace = kernels::swiglu_backward_workspace,
          .lora_input_forward = kernels::lora_input_forward_cuda,
          .lora_input_backward = kernels::lora_input_backward_cuda,
          .lora_input_backward_workspace = kernels::lora_input_backward_workspace,
          .lora_output_backward = kernels::lora_output_backward_cuda,
          .lora_output_backward_workspace = kernels::lora_output_backward_workspace,
          .rope = kernels::rope_cuda,
          .attention_forward = kernels::segment_attention_forward_cuda,
          .attention_backward = kernels::segment_attention_backward_cuda,
          .attention_backward_workspace = kernels::segment_attention_backward_workspace,
          .cache_store = kernels::cache_store_cuda,
          .cached_attention = kernels::cached_attention_cuda,
          .cross_entropy = kernels::cross_entropy_cuda,
          .adamw = kernels::adamw_cuda,
          .gradient_norm = kernels::gradient_norm_cuda,
          .gradient_norm_workspace = kernels::gradient_norm_workspace,
          .gemm = gemm,
          .stream = stream};
}

}  // namespace radgpt
