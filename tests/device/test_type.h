#pragma once

#include <ATen/core/Tensor.h>

namespace radgpt {

/// The type of models in tests that work in any type. float, or bfloat16 where all bfloat16 tensors
/// go through the kernels of the GPU, run by the executor (executables NAME_executor_test).
at::ScalarType test_type();

/// What a small model of that type may be away from double precision, relative: roundings of two
/// layers, forward and backward.
inline double test_tolerance() { return test_type() == at::kFloat ? 1e-5 : 0x1p-5; }

/// As recipes name it.
inline const char* test_type_name() { return test_type() == at::kFloat ? "fp32" : "bf16"; }

/// While it lives, bfloat16 tensors go to the CPU's kernels in every executable.
class CpuKernels {
 public:
  CpuKernels();
  ~CpuKernels();
};

}  // namespace radgpt
