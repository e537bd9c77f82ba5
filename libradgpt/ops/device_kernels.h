#pragma once

#include <ATen/core/Tensor.h>

#include <string>

#include "kernels/adamw/adamw.h"
#include "kernels/cross_entropy/cross_entropy.h"
#include "kernels/gemm/gemm.h"
#include "kernels/lora_linear/lora_input.h"
#include "kernels/lora_linear/lora_output.h"
#include "kernels/rms_norm/rms_norm.h"
#include "kernels/rope/rope.h"
#include "kernels/segment_attention/cached_attention.h"
#include "kernels/segment_attention/segment_attention.h"
#include "kernels/swiglu/swiglu.h"

namespace radgpt {

/// The kernels of a GPU: those of kernels/ in a build with CUDA. The tests put in others, which run
/// the same source on the CPU.
struct DeviceKernels {
  decltype(&kernels::rms_norm_forward_cuda) rms_norm_forward;
  decltype(&kernels::rms_norm_backward_cuda) rms_norm_backward;
  decltype(&kernels::rms_norm_backward_workspace) rms_norm_backward_workspace;
  decltype(&kernels::swiglu_forward_cuda) swiglu_forward;
  decltype(&kernels::swiglu_backward_cuda) swiglu_backward;
  decltype(&kernels::swiglu_backward_workspace) swiglu_backward_workspace;
  decltype(&kernels::lora_input_forward_cuda) lora_input_forward;
  decltype(&kernels::lora_input_backward_cuda) lora_input_backward;
  decltype(&kernels::lora_input_backward_workspace) lora_input_backward_workspace;
  decltype(&kernels::lora_output_backward_cuda) lora_output_backward;
  decltype(&kernels::lora_output_backward_workspace) lora_output_backward_workspace;
  decltype(&kernels::rope_cuda) rope;
  decltype(&kernels::segment_attention_forward_cuda) attention_forward;
  decltype(&kernels::segment_attention_backward_cuda) attention_backward;
  decltype(&kernels::segment_attention_backward_workspace) attention_backward_workspace;
  decltype(&kernels::cache_store_cuda) cache_store;
  decltype(&kernels::cached_attention_cuda) cached_attention;
  decltype(&kernels::cross_entropy_cuda) cross_entropy;
  decltype(&kernels::adamw_cuda) adamw;
  decltype(&kernels::gradient_norm_cuda) gradient_norm;
  decltype(&kernels::gradient_norm_workspace) gradient_norm_workspace;
  /// By the current device, as all others.
  void (*gemm)(const kernels::Gemm<kernels::BFloat16>& call, kernels::Stream stream);
  /// The stream that LibTorch uses now on the current device and this thread.
  kernels::Stream (*stream)();
};

/// Which tensors the device's kernels take.
enum class DeviceMemory {
  kCuda,  ///< those on a CUDA device
  kHost   ///< every bfloat16 tensor on the CPU: for tests
};

/// Puts in the kernels of the device, for the whole process and before any op runs.
void install_device_kernels(const DeviceKernels& kernels, DeviceMemory memory);

/// The kernels for a tensor, or null where the CPU's are to be used. Throws Error(kEnvironment) for
/// a CUDA tensor in a build without kernels for GPUs, Error(kInput) for one that is not bfloat16.
const DeviceKernels* device_kernels(const at::Tensor& tensor);

/// The same for work on fp32 buffers, such as an optimiser's.
const DeviceKernels* device_kernels_for_sums(const at::Tensor& tensor);

/// Whether ops can compute on a GPU here: built with the kernels for it, and a device is present.
bool cuda_available();

/// Throws Error(kEnvironment) that begins with `who` unless cuda_available().
void require_cuda(const std::string& who);

}  // namespace radgpt
