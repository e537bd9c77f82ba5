#pragma once

// What the names of a kernel (device.h) call in the executor.

#include <cstddef>
#include <cstdint>
#include <functional>

#include "tests/simt/fault.h"

namespace simt {

struct Index {
  unsigned x = 0;
  unsigned y = 0;
  unsigned z = 0;
};

struct LaunchShape {
  const char* kernel = "";
  int64_t x = 1;
  int64_t y = 1;
  int64_t z = 1;
  int threads = 1;
  int bound = 1;  // on the threads
  size_t shared_bytes = 0;
};

/// The threads, a multiple of 32, up to which a kernel may be launched; 0 for other functions.
int bound_of(const void* kernel);

/// Runs thread() once for each thread of a launch. Throws Fault.
void run(const LaunchShape& shape, const std::function<void()>& thread);

void barrier(Where where);
void warp_barrier(Where where);
/// What lane `lane` of the warp gives.
uint64_t shuffle(uint64_t value, int lane, Where where);
int lane_number();
uint32_t transpose_8x8(uint32_t word, Where where);
void multiply_add(float* d, const uint32_t* a, const uint32_t* b, Where where);

void async_copy16(void* shared, const void* global, Where where);
void async_commit();
void async_wait(int open_groups);

void* dynamic_shared();
void* static_shared(const void* key, size_t bytes, Where where);

enum class Access { kRead, kWrite, kAtomic };

/// Called before each access to global memory. `bytes` is a power of two, at most 16.
void note(Access access, const void* p, size_t bytes, Where where);

}  // namespace simt

extern simt::Index threadIdx;
extern simt::Index blockIdx;
extern simt::Index blockDim;
extern simt::Index gridDim;
