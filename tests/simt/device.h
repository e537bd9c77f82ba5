#pragma once

// The names of kernels/primitives/device.cuh where there is no nvcc: the same source runs on the
// CPU, each CUDA thread as a fiber. See device.cuh for what they mean.

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "tests/simt/hooks.h"

struct CUstream_st;

// Stands before the kernel in as many empty instructions as its threads have warps: a function can
// carry a number in no other way. simt::bound_of reads it.
#define RADGPT_KERNEL(threads, blocks) \
  __attribute__((patchable_function_entry(((threads) + 31) / 32, ((threads) + 31) / 32))) inline
#define RADGPT_DEVICE inline
// The type of the lambda stands for this declaration.
#define RADGPT_SHARED(type, name, count) \
  type(&name)[count] = ::simt::shared_array<type, count>([] {}, ::simt::Where::current())
#define RADGPT_DYNAMIC_SHARED(type, name) type* name = static_cast<type*>(::simt::dynamic_shared())

namespace simt {

template <typename T, size_t count, typename Declaration>
T (&shared_array(Declaration, Where where))
[count] {
  static_assert(std::is_trivially_default_constructible_v<T>, "nothing initialises shared memory");
  static const char key = 0;
  return *static_cast<T(*)[count]>(static_shared(&key, sizeof(T) * count, where));
}

}  // namespace simt

namespace radgpt::kernels {

template <typename V, typename T>
RADGPT_DEVICE V load(const T* p, simt::Where where = simt::Where::current()) {
  static_assert(std::is_trivially_copyable_v<V> && sizeof(V) <= 16);
  simt::note(simt::Access::kRead, p, sizeof(V), where);
  V value;
  std::memcpy(static_cast<void*>(&value), p, sizeof(V));
  return value;
}
template <typename V, typename T>
RADGPT_DEVICE void store(T* p, const V& value, simt::Where where = simt::Where::current()) {
  static_assert(std::is_trivially_copyable_v<V> && sizeof(V) <= 16);
  simt::note(simt::Access::kWrite, p, sizeof(V), where);
  std::memcpy(static_cast<void*>(p), &value, sizeof(V));
}
template <typename T>
RADGPT_DEVICE Words4 load_once(const T* p, simt::Where where = simt::Where::current()) {
  return kernels::load<Words4>(p, where);
}

RADGPT_DEVICE void barrier(simt::Where where = simt::Where::current()) { simt::barrier(where); }
RADGPT_DEVICE void warp_barrier(simt::Where where = simt::Where::current()) {
  simt::warp_barrier(where);
}
template <typename V>
RADGPT_DEVICE V shuffle(V value, int lane, simt::Where where = simt::Where::current()) {
  static_assert(std::is_arithmetic_v<V> && (sizeof(V) == 4 || sizeof(V) == 8));
  uint64_t word = 0;
  std::memcpy(&word, &value, sizeof(V));
  word = simt::shuffle(word, lane, where);
  std::memcpy(&value, &word, sizeof(V));
  return value;
}
template <typename V>
RADGPT_DEVICE V shuffle_xor(V value, int mask, simt::Where where = simt::Where::current()) {
  return kernels::shuffle(value, simt::lane_number() ^ mask, where);
}

RADGPT_DEVICE uint32_t atomic_add(uint32_t* p, uint32_t value,
                                  simt::Where where = simt::Where::current()) {
  simt::note(simt::Access::kAtomic, p, sizeof(uint32_t), where);
  return __atomic_fetch_add(p, value, __ATOMIC_RELAXED);
}

RADGPT_DEVICE float word_as_float(uint32_t word) { return __builtin_bit_cast(float, word); }
RADGPT_DEVICE uint32_t pack_bfloat16(float low, float high) {
  const auto rounded = [](float value) -> uint32_t {
    const auto word = __builtin_bit_cast(uint32_t, value);
    if ((word & 0x7FFFFFFF) > 0x7F800000) return 0x7FFF;  // NaN, as the GPU writes it
    return (word + 0x7FFF + ((word >> 16) & 1)) >> 16;
  };
  return rounded(low) | rounded(high) << 16;
}

RADGPT_DEVICE uint32_t transpose_8x8(uint32_t word, simt::Where where = simt::Where::current()) {
  return simt::transpose_8x8(word, where);
}
RADGPT_DEVICE void multiply_add(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2],
                                simt::Where where = simt::Where::current()) {
  simt::multiply_add(d, a, b, where);
}

RADGPT_DEVICE void async_copy16(void* shared, const void* global,
                                simt::Where where = simt::Where::current()) {
  simt::async_copy16(shared, global, where);
}
RADGPT_DEVICE void async_commit() { simt::async_commit(); }
template <int kOpenGroups>
RADGPT_DEVICE void async_wait() {
  simt::async_wait(kOpenGroups);
}

/// As device.cuh, on the calling thread, and waits. Throws simt::Fault.
template <typename... Parameters>
void launch(const char* name, void (*kernel)(Parameters...), Grid grid, int threads, CUstream_st*,
            std::type_identity_t<Parameters>... arguments) {
  if (grid.x == 0 || grid.y == 0 || grid.z == 0) return;
  const int bound = simt::bound_of(reinterpret_cast<const void*>(kernel));
  simt::run({name, grid.x, grid.y, grid.z, threads, bound, grid.shared_bytes},
            [&] { kernel(arguments...); });
}

}  // namespace radgpt::kernels
