#pragma once

#include <cstddef>
#include <vector>

// The memory of the device on which the test cases of kernels run: the executor (tests/simt), or,
// in kernels_gpu_test, a GPU. Only the executor counts bytes, notices a stray access by itself and
// has a choice of orders; a GPU has an order of its own each time.

#ifdef RADGPT_TEST_ON_GPU

#include "tests/kernels/gpu/gpu_memory.h"

namespace radgpt::kernels {

using DeviceMemory = gpu::Memory;
using DeviceOrder = gpu::Order;
using gpu::allocate;
using gpu::release;
using gpu::synchronise;

}  // namespace radgpt::kernels

#else

#include <cstdlib>

#include "tests/simt/memory.h"
#include "tests/simt/order.h"

namespace radgpt::kernels {

/// Named buffers of one call.
using DeviceMemory = simt::Memory;
/// While it lives, threads run in the order that its seed draws.
using DeviceOrder = simt::Order;

/// Memory that kernels and the test see, aligned to 256 bytes.
inline void* allocate(size_t bytes) { return std::aligned_alloc(256, (bytes / 256 + 1) * 256); }
inline void release(void* memory) { std::free(memory); }
/// Returns when all kernels have ended. Throws if one has failed.
inline void synchronise() {}

}  // namespace radgpt::kernels

#endif

namespace radgpt::kernels {

/// For arrays that kernels see.
template <typename T>
struct DeviceAllocator {
  using value_type = T;
  DeviceAllocator() = default;
  template <typename U>
  DeviceAllocator(const DeviceAllocator<U>&) {}
  T* allocate(size_t count) { return static_cast<T*>(kernels::allocate(count * sizeof(T))); }
  void deallocate(T* memory, size_t) { kernels::release(memory); }
  bool operator==(const DeviceAllocator&) const = default;
};

template <typename T>
using DeviceVector = std::vector<T, DeviceAllocator<T>>;

}  // namespace radgpt::kernels
