#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "kernels/primitives/bfloat16.h"
#include "kernels/primitives/stream.h"
#include "kernels/primitives/workers.h"

namespace radgpt::kernels {

/// Whether a factor is taken as it is stored or transposed.
enum class Transpose { kNo, kYes };

/// A factor of a product: op(data) is `data`, or its transpose.
template <typename T>
struct Factor {
  const T* data = nullptr;
  int64_t stride = 0;  ///< between rows as they are stored
  Transpose transpose = Transpose::kNo;
};

/// A large matrix product, row-major:
///
///   d = alpha op(a) op(b) + beta d
///
///   op(a)  [m, k]
///   op(b)  [k, n]
///   d      [m, n]   read only if beta is not zero
///
/// All sums are in Compute<T>, fp32 for bfloat16; the result is rounded once, to Out.
template <typename T, typename Out = T>
struct Gemm {
  int64_t m = 0;
  int64_t n = 0;
  int64_t k = 0;
  Factor<T> a;
  Factor<T> b;
  Out* d = nullptr;
  int64_t d_stride = 0;
  float alpha = 1.0f;
  float beta = 0.0f;
};

/// For T and Out float, double, BFloat16, and BFloat16 with Out float. Adds in the order of k,
/// whatever the number of workers: what the GPU's products promise, for machines without a library
/// that does better.
template <typename T, typename Out>
void gemm_cpu(const Gemm<T, Out>& call, const Workers& workers);

/// The products of one CUDA device, by cuBLASLt: a handle, 32 MiB of workspace, and the algorithm
/// of each shape met so far. For one thread and one stream at a time.
///
/// One object always gives the same bits for the same operands. So do two objects on devices of one
/// kind if neither has an algorithm file, or both have the same complete one.
class DeviceGemm {
 public:
  /// For the current device. Without `algorithm_file` each shape takes the algorithm that cuBLASLt
  /// puts first. With it, each shape takes the one that the file names; for a shape that the file
  /// lacks, cuBLASLt's best eight are run on the caller's operands, which waits for the device, and
  /// the fastest is added to the file. Throws Error kEnvironment where there is no device.
  explicit DeviceGemm(const std::string& algorithm_file = "");
  ~DeviceGemm();
  DeviceGemm(const DeviceGemm&) = delete;
  DeviceGemm& operator=(const DeviceGemm&) = delete;

  /// On device memory; enqueues on `stream`. All arrays are aligned to 16 bytes, and strides are
  /// multiples of 16 bytes. Throws Error kInput otherwise, kEnvironment when cuBLASLt refuses.
  void run(const Gemm<BFloat16, BFloat16>& call, Stream stream);
  void run(const Gemm<BFloat16, float>& call, Stream stream);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace radgpt::kernels
