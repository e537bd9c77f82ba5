#pragma once

#include <cstddef>

struct CUstream_st;

namespace radgpt::kernels {

/// cudaStream_t, without a header of CUDA. Null is the default stream.
using Stream = CUstream_st*;

/// Scratch memory on the device, aligned to 256 bytes, free again once the stream has passed the
/// call. Each kernel that takes one says how many bytes it needs.
struct Workspace {
  void* data = nullptr;
  size_t bytes = 0;
};

}  // namespace radgpt::kernels
