#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "kernels/primitives/bfloat16.h"
#include "kernels/primitives/stream.h"
#include "kernels/primitives/workers.h"

namespace radgpt::kernels {

/// Whether a tensor shrinks by the decay of each update: matrices do.
enum class WeightDecay : int32_t { kNo, kYes };
/// The type that the model keeps its copy in.
enum class CopyType : int32_t { kBFloat16, kFloat };

/// A trained tensor in the flat fp32 buffers of all of them (masters, gradients, two moments; same
/// layout), and the copy that the model computes with:
///
///   copy[row, column] = scale * master[begin + row * columns + column]       rounded once
struct alignas(16) TrainedTensor {
  int64_t begin = 0;  ///< its first element
  int64_t rows = 0;
  int64_t columns = 0;      ///< rows * columns < 2^31
  void* copy = nullptr;     ///< [rows, columns], e.g. in the border of a weight; null: none
  int64_t copy_stride = 0;  ///< elements between rows of the copy
  CopyType copy_type = CopyType::kBFloat16;
  float scale = 1.0f;
  WeightDecay decay = WeightDecay::kNo;
  float rate_ratio = 1.0f;  ///< its learning rate as a multiple of the call's
  int32_t first_block = 0;  ///< set by number_blocks
};

/// Work is cut into blocks of this many elements of one tensor, on the CPU too: an element then
/// meets the same instruction whatever the number of threads.
inline constexpr int64_t kAdamWBlock = 1 << 13;

/// The tensors of one pass, in host memory for the CPU and in device memory for the GPU.
struct TrainedTensors {
  const TrainedTensor* tensors = nullptr;
  int64_t count = 0;
  int64_t blocks = 0;  ///< what number_blocks returned
};

/// Numbers the blocks of `tensors` and returns how many there are.
int64_t number_blocks(std::vector<TrainedTensor>& tensors);

/// AdamW (Loshchilov & Hutter, arXiv 1711.05101), and the copies, in one pass:
///
///   g = gradient * gradient_scale
///   m = beta1 m + (1 - beta1) g        v = beta2 v + (1 - beta2) g^2
///   w = w keep - rate m / (sqrt(v second_correction) + epsilon)
///
/// with keep for tensors that decay and 1 for the others. For update t with learning rate r and
/// decay d: keep = 1 - r d, rate = r / (1 - beta1^t), second_correction = 1 / (1 - beta2^t). In a
/// tensor with a rate_ratio p, p rate and 1 - p (1 - keep) stand for rate and keep.
struct AdamW {
  float beta1 = 0.9f;
  float beta2 = 0.999f;
  float epsilon = 1e-8f;
  float keep = 1.0f;
  float rate = 0.0f;
  float second_correction = 1.0f;
  float gradient_scale = 1.0f;
  const float* gradient = nullptr;
  float* master = nullptr;
  float* first_moment = nullptr;
  float* second_moment = nullptr;
  TrainedTensors tensors = {};
};

/// In memory of the CPU; an element is updated alike whatever the number of workers.
void adamw_cpu(const AdamW& call, const Workers& workers);

/// On device memory; enqueues on `stream` and does not wait. The flat buffers are aligned to 16
/// bytes, and the table too; the tensors in them need not be. Reads and writes each element once.
/// Throws Error kInput otherwise, kEnvironment when the launch fails.
void adamw_cuda(const AdamW& call, Stream stream);

/// 2-norm of `count` values, summed in double in an order that the number of workers does not
/// change. NaN or infinity if any value is.
double gradient_norm_cpu(const float* values, int64_t count, const Workers& workers);

/// The same into `norm` on the device, bitwise repeatable. `values` is aligned to 16 bytes.
void gradient_norm_cuda(const float* values, int64_t count, double* norm, Workspace workspace,
                        Stream stream);
/// Bytes of workspace that gradient_norm_cuda needs for a call.
size_t gradient_norm_workspace(int64_t count);

}  // namespace radgpt::kernels
