#pragma once

// The few things that a kernel needs of a GPU. Kernels are written against these names alone: nvcc
// turns them into CUDA, and the executor of the tests (tests/simt) runs the same source on the CPU,
// where it counts bytes and finds races. Beside them a kernel may use threadIdx, blockIdx, blockDim
// and gridDim, and the C++ mathematics of float.
//
//   RADGPT_KERNEL(threads, blocks)        a kernel launched with up to that many threads a block;
//                                         that many blocks must fit a multiprocessor's registers
//   RADGPT_DEVICE                         a function that kernels call
//   RADGPT_SHARED(type, name, count)      an array in the block's shared memory, 16-byte aligned
//   RADGPT_DYNAMIC_SHARED(type, name)     the shared memory whose size the launch gives
//
// Global memory is read and written by load and store only.

#include <cstddef>
#include <cstdint>

namespace radgpt::kernels {

inline constexpr int kWarp = 32;

/// Eight bfloat16 or four floats: what a lane moves at a time.
struct alignas(16) Words4 {
  uint32_t word[4];
};
struct alignas(8) Words2 {
  uint32_t word[2];
};

/// Blocks and dynamic shared memory of a launch.
struct Grid {
  int64_t x = 1;
  int64_t y = 1;
  int64_t z = 1;
  size_t shared_bytes = 0;
};

}  // namespace radgpt::kernels

#ifdef __CUDACC__

#include <cuda_runtime.h>

#include <type_traits>

#include "libradgpt/base/error.h"

#define RADGPT_KERNEL(threads, blocks) __global__ __launch_bounds__(threads, blocks)
#define RADGPT_DEVICE __device__ __forceinline__
#define RADGPT_SHARED(type, name, count) __shared__ __align__(16) type name[count]
#define RADGPT_DYNAMIC_SHARED(type, name)                                \
  extern __shared__ __align__(16) unsigned char radgpt_dynamic_shared[]; \
  type* name = reinterpret_cast<type*>(radgpt_dynamic_shared)

namespace radgpt::kernels {

/// One value of type V, aligned to its size (up to 16 bytes, then one instruction), at p.
template <typename V, typename T>
RADGPT_DEVICE V load(const T* p) {
  return *reinterpret_cast<const V*>(p);
}
template <typename V, typename T>
RADGPT_DEVICE void store(T* p, const V& value) {
  *reinterpret_cast<V*>(p) = value;
}
/// As load, for 16 bytes that no other block reads: they need not stay in the cache.
template <typename T>
RADGPT_DEVICE Words4 load_once(const T* p) {
  const uint4 value = __ldcs(reinterpret_cast<const uint4*>(p));
  return {value.x, value.y, value.z, value.w};
}

/// All threads of the block meet here.
RADGPT_DEVICE void barrier() { __syncthreads(); }
/// All lanes of the warp meet here, and see each other's writes to shared memory.
RADGPT_DEVICE void warp_barrier() { __syncwarp(); }
/// `value` of the lane whose number differs by `mask`. All lanes of the warp take part.
template <typename V>
RADGPT_DEVICE V shuffle_xor(V value, int mask) {
  return __shfl_xor_sync(0xFFFFFFFFu, value, mask);
}
/// `value` of lane `lane`. All lanes of the warp take part.
template <typename V>
RADGPT_DEVICE V shuffle(V value, int lane) {
  return __shfl_sync(0xFFFFFFFFu, value, lane);
}

/// Adds and returns what was there before.
RADGPT_DEVICE uint32_t atomic_add(uint32_t* p, uint32_t value) { return atomicAdd(p, value); }

/// Two floats rounded to bfloat16, `low` in the lower half.
RADGPT_DEVICE uint32_t pack_bfloat16(float low, float high) {
  uint32_t word;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(word) : "f"(high), "f"(low));
  return word;
}
RADGPT_DEVICE float word_as_float(uint32_t word) { return __uint_as_float(word); }

/// An 8 x 8 matrix of 16-bit values, of which lane l holds row l / 4, columns 2 (l % 4) and
/// 2 (l % 4) + 1, is transposed: afterwards lane l holds the same places of the transpose.
RADGPT_DEVICE uint32_t transpose_8x8(uint32_t word) {
  uint32_t result;
  asm volatile("movmatrix.sync.aligned.m8n8.trans.b16 %0, %1;" : "=r"(result) : "r"(word));
  return result;
}

/// d += a b by the tensor cores: a [16, 16] and b [16, 8] of bfloat16, d [16, 8] of float. With
/// g = lane / 4 and t = lane % 4, a lane holds (PTX ISA, mma.m16n8k16)
///
///   a[0], a[1]  a[2], a[3]    rows g, g + 8 of columns 2t, 2t + 1; rows g, g + 8 of 2t + 8, 2t + 9
///   b[0], b[1]                column g of rows 2t, 2t + 1; of rows 2t + 8, 2t + 9
///   d[0:2], d[2:4]            row g, columns 2t, 2t + 1; row g + 8
RADGPT_DEVICE void multiply_add(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "
      "{%0,%1,%2,%3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

/// Copies 16 bytes from global to shared memory in the background. What a thread has asked for up
/// to an async_commit is a group; async_wait<n> waits until at most its n newest groups are open.
RADGPT_DEVICE void async_copy16(void* shared, const void* global) {
  const auto to = static_cast<uint32_t>(__cvta_generic_to_shared(shared));
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(to), "l"(global) : "memory");
}
RADGPT_DEVICE void async_commit() { asm volatile("cp.async.commit_group;" ::: "memory"); }
template <int kOpenGroups>
RADGPT_DEVICE void async_wait() {
  asm volatile("cp.async.wait_group %0;" ::"n"(kOpenGroups) : "memory");
}

/// Enqueues kernel(arguments...) with `threads` threads a block. `name` is for the error message.
template <typename... Parameters>
void launch(const char* name, void (*kernel)(Parameters...), Grid grid, int threads,
            CUstream_st* stream, std::type_identity_t<Parameters>... arguments) {
  if (grid.x == 0 || grid.y == 0 || grid.z == 0) return;  // an empty grid is an error of CUDA
  require(grid.x <= INT32_MAX && grid.y <= UINT16_MAX && grid.z <= UINT16_MAX, name,
          ": a grid has at most 2^31 - 1 x 65535 x 65535 blocks, got ", grid.x, " x ", grid.y,
          " x ", grid.z);
  cudaError_t status = cudaSuccess;
  if (grid.shared_bytes > 0) {  // beyond 48 KB, those of the kernel's own arrays among them
    status = cudaFuncSetAttribute(reinterpret_cast<const void*>(kernel),
                                  cudaFuncAttributeMaxDynamicSharedMemorySize,
                                  static_cast<int>(grid.shared_bytes));
  }
  if (status == cudaSuccess) {
    const dim3 blocks(static_cast<unsigned>(grid.x), static_cast<unsigned>(grid.y),
                      static_cast<unsigned>(grid.z));
    kernel<<<blocks, threads, grid.shared_bytes, stream>>>(arguments...);
    status = cudaGetLastError();
  }
  if (status != cudaSuccess) {
    fail(ErrorKind::kEnvironment, name, ": launch of ", grid.x, " x ", grid.y, " x ", grid.z,
         " blocks, or work before it, failed: ", cudaGetErrorString(status));
  }
}

}  // namespace radgpt::kernels

#else

#include <simt/device.h>

#endif

namespace radgpt::kernels {

RADGPT_DEVICE float low_bfloat16(uint32_t word) { return word_as_float(word << 16); }
RADGPT_DEVICE float high_bfloat16(uint32_t word) { return word_as_float(word & 0xFFFF0000u); }

}  // namespace radgpt::kernels
