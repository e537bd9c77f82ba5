#pragma once

#include "kernels/primitives/device.cuh"

// Small kernels, each right and with one fault planted, for the tests of what finds faults.

namespace radgpt::kernels {

enum class Twin { kRight, kFaulty };

inline constexpr int kFaultThreads = 64;

// y = x of the block's 64 elements, in reverse.
template <Twin twin>
RADGPT_KERNEL(kFaultThreads, 1)
void reverse_block(const float* x, float* y) {
  RADGPT_SHARED(float, values, kFaultThreads);
  values[threadIdx.x] = load<float>(x + threadIdx.x);
  if (twin == Twin::kRight) barrier();
  store(y + threadIdx.x, values[kFaultThreads - 1 - threadIdx.x]);
}

// The same within each warp.
template <Twin twin>
RADGPT_KERNEL(kFaultThreads, 1)
void reverse_warp(const float* x, float* y) {
  RADGPT_SHARED(float, values, kFaultThreads);
  values[threadIdx.x] = load<float>(x + threadIdx.x);
  if (twin == Twin::kRight) warp_barrier();
  store(y + threadIdx.x, values[threadIdx.x ^ (kWarp - 1)]);
}

// The same, where the faulty one trusts a shuffle to order memory, which none does.
template <Twin twin>
RADGPT_KERNEL(kFaultThreads, 1)
void reverse_by_shuffle(const float* x, float* y) {
  RADGPT_SHARED(float, values, kFaultThreads);
  values[threadIdx.x] = load<float>(x + threadIdx.x);
  if (twin == Twin::kRight) warp_barrier();
  const int other = shuffle_xor(static_cast<int>(threadIdx.x), kWarp - 1);
  store(y + threadIdx.x, values[other]);
}

// y = x
template <Twin twin>
RADGPT_KERNEL(kFaultThreads, 1)
void copy_with_stray_read(const float* x, float* y, int count) {
  const int i = static_cast<int>(threadIdx.x);
  const float value = twin == Twin::kFaulty || i < count ? load<float>(x + i) : 0;  // stray read
  if (i < count) store(y + i, value);
}

template <Twin twin>
RADGPT_KERNEL(kFaultThreads, 1)
void copy_with_stray_write(const float* x, float* y, int count) {
  const int i = static_cast<int>(threadIdx.x);
  const float value = i < count ? load<float>(x + i) : 0;
  if (twin == Twin::kFaulty || i < count) store(y + i, value);  // stray write
}

// y[block, :] = block, with an element too many of each block.
template <Twin twin>
RADGPT_KERNEL(kFaultThreads, 1)
void race_of_writes(float* y, int columns) {
  const int count = columns + (twin == Twin::kFaulty && blockIdx.x + 1 < gridDim.x ? 1 : 0);
  float* const own = y + static_cast<int>(blockIdx.x) * columns;
  for (int i = static_cast<int>(threadIdx.x); i < count; i += kFaultThreads) {
    store(own + i, static_cast<float>(blockIdx.x));  // race of writes
  }
}

// y[block] += 1, where the faulty one adds to what the first block has.
template <Twin twin>
RADGPT_KERNEL(kFaultThreads, 1)
void race_of_read_and_write(float* y) {
  if (threadIdx.x != 0) return;
  const unsigned from = twin == Twin::kRight ? blockIdx.x : 0;
  store(y + blockIdx.x, load<float>(y + from) + 1);  // race of read and write
}

// count = number of threads of the grid.
template <Twin twin>
RADGPT_KERNEL(kFaultThreads, 1)
void race_of_counts(uint32_t* count) {
  if (twin == Twin::kRight) {
    atomic_add(count, 1);
  } else {
    store(count, load<uint32_t>(count) + 1);
  }
}

// y[lane] = sum of lane and its neighbour, where the faulty one leaves out half of the lanes.
template <Twin twin>
RADGPT_KERNEL(kFaultThreads, 1)
void divergent_shuffle(float* y) {
  float sum = static_cast<float>(threadIdx.x);
  if (twin == Twin::kRight || threadIdx.x % kWarp < 16)
    sum += shuffle_xor(sum, 1);  // divergent shuffle
  store(y + threadIdx.x, sum);
}

template <Twin twin>
RADGPT_KERNEL(kFaultThreads, 1)
void divergent_barrier(float* y) {
  if (twin == Twin::kFaulty && threadIdx.x >= 40) return;
  barrier();  // divergent barrier
  store(y + threadIdx.x, 1.0f);
}

template <Twin twin>
RADGPT_KERNEL(kFaultThreads, 1)
void two_barriers(float* y) {
  if (twin == Twin::kRight || threadIdx.x < kWarp) {
    barrier();  // first of two
  } else {
    barrier();  // second of two
  }
  store(y + threadIdx.x, 1.0f);
}

// y = x, 4 floats a thread, by way of shared memory.
template <Twin twin>
RADGPT_KERNEL(kFaultThreads, 1)
void copy_in_background(const float* x, float* y) {
  RADGPT_SHARED(float, values, 4 * kFaultThreads);
  async_copy16(values + 4 * threadIdx.x, x + 4 * threadIdx.x);  // no wait
  async_commit();
  if (twin == Twin::kRight) async_wait<0>();
  for (int i = 0; i < 4; ++i) store(y + 4 * threadIdx.x + i, values[4 * threadIdx.x + i]);
}

// y = x by way of shared memory that holds zeros before, read by the faulty one before the wait.
template <Twin twin>
RADGPT_KERNEL(kFaultThreads, 1)
void read_too_early(const float* x, float* y) {
  RADGPT_SHARED(float, values, 4 * kFaultThreads);
  float* const own = values + 4 * threadIdx.x;
  for (int i = 0; i < 4; ++i) own[i] = 0;
  async_copy16(own, x + 4 * threadIdx.x);
  async_commit();
  if (twin == Twin::kRight) async_wait<0>();
  for (int i = 0; i < 4; ++i) store(y + 4 * threadIdx.x + i, own[i]);
  async_wait<0>();
}

// y = x of two groups, of which the second is still open when the faulty one reads it.
template <Twin twin>
RADGPT_KERNEL(kFaultThreads, 1)
void wait_for_too_few(const float* x, float* y) {
  RADGPT_SHARED(float, values, 2 * 4 * kFaultThreads);
  for (int group = 0; group < 2; ++group) {
    const unsigned at = (group * kFaultThreads + threadIdx.x) * 4;
    async_copy16(values + at, x + at);
    async_commit();
  }
  async_wait<twin == Twin::kRight ? 0 : 1>();
  for (int i = 0; i < 8; ++i) {
    const unsigned at = (i / 4 * kFaultThreads + threadIdx.x) * 4 + i % 4;
    store(y + at, values[at]);
  }
  async_wait<0>();
}

// y = x, reversed, by way of one place in shared memory that is filled twice.
template <Twin twin>
RADGPT_KERNEL(kFaultThreads, 1)
void refill(const float* x, float* y) {
  RADGPT_SHARED(float, values, 4 * kFaultThreads);
  for (int round = 0; round < 2; ++round) {
    const unsigned begin = round * 4 * kFaultThreads;
    async_copy16(values + 4 * threadIdx.x, x + begin + 4 * threadIdx.x);
    async_commit();
    async_wait<0>();
    barrier();
    for (unsigned i = threadIdx.x; i < 4 * kFaultThreads; i += kFaultThreads) {
      store(y + begin + i, values[4 * kFaultThreads - 1 - i]);
    }
    if (twin == Twin::kRight) barrier();
  }
}

// d [16, 8] = a [16, 16] b^T, b [8, 16], all row-major.
template <Twin twin>
RADGPT_KERNEL(kWarp, 1)
void one_product(const uint32_t* a, const uint32_t* b, float* d) {
  const int g = static_cast<int>(threadIdx.x) / 4;
  const int t = static_cast<int>(threadIdx.x) % 4;
  const int second = twin == Twin::kRight ? (g + 8) * 8 + t : g * 8 + t + 4;
  const int third = twin == Twin::kRight ? g * 8 + t + 4 : (g + 8) * 8 + t;
  const uint32_t a_words[4] = {load<uint32_t>(a + g * 8 + t), load<uint32_t>(a + second),
                               load<uint32_t>(a + third), load<uint32_t>(a + (g + 8) * 8 + t + 4)};
  const uint32_t b_words[2] = {load<uint32_t>(b + g * 8 + t), load<uint32_t>(b + g * 8 + t + 4)};
  float sums[4] = {};
  multiply_add(sums, a_words, b_words);
  for (int i = 0; i < 4; ++i) store(d + (g + i / 2 * 8) * 8 + 2 * t + i % 2, sums[i]);
}

// y = x[shift:], 4 floats a thread.
template <Twin twin>
RADGPT_KERNEL(kFaultThreads, 1)
void misaligned_load(const float* x, float* y) {
  const Words4 words =
      load<Words4>(x + 4 * threadIdx.x + (twin == Twin::kRight ? 4 : 1));  // misaligned load
  store(y + 4 * threadIdx.x, words);
}

// y = x, where the faulty one clears x.
template <Twin twin>
RADGPT_KERNEL(kFaultThreads, 1)
void write_to_input(float* x, float* y) {
  store(y + threadIdx.x, load<float>(x + threadIdx.x));
  if (twin == Twin::kFaulty) store(x + threadIdx.x, 0.0f);  // write to input
}

// y = 1, where the faulty one forgets the last element.
template <Twin twin>
RADGPT_KERNEL(kFaultThreads, 1)
void forget_an_element(float* y) {
  if (twin == Twin::kRight || threadIdx.x + 1 < kFaultThreads) store(y + threadIdx.x, 1.0f);
}

// y += 1, where the faulty one has not set it before.
template <Twin twin>
RADGPT_KERNEL(kFaultThreads, 1)
void read_of_nothing(float* y) {
  if (twin == Twin::kRight) store(y + threadIdx.x, 0.0f);
  store(y + threadIdx.x, load<float>(y + threadIdx.x) + 1);
}

// Writes one element beyond the end of an array in shared memory.
template <Twin twin>
RADGPT_KERNEL(kFaultThreads, 1)
void shared_overrun(float* y) {
  RADGPT_DYNAMIC_SHARED(float, values);
  values[threadIdx.x + (twin == Twin::kRight ? 0 : 1)] = 1;
  barrier();
  store(y + threadIdx.x, values[threadIdx.x]);
}

// y = x by way of shared memory, 4 floats a thread.
template <Twin twin>
RADGPT_KERNEL(kFaultThreads, 1)
void misaligned_shared(const float* x, float* y) {
  RADGPT_SHARED(float, values, 4 * kFaultThreads + 4);
  auto* words = reinterpret_cast<Words4*>(values + (twin == Twin::kRight ? 4 : 1));
  words[threadIdx.x] = load<Words4>(x + 4 * threadIdx.x);
  store(y + 4 * threadIdx.x, words[threadIdx.x]);
}

}  // namespace radgpt::kernels
