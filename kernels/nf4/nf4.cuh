#pragma once

#include <cmath>

#include "kernels/nf4/nf4.h"
#include "kernels/nf4/nf4_code.h"
#include "kernels/primitives/lane_values.cuh"

namespace radgpt::kernels {

inline constexpr int kNf4Threads = 256;
static_assert(kNf4Threads == kNf4AbsmaxBlock, "a thread for each largest magnitude of a scale");

/// Eight values from element i of a source.
RADGPT_DEVICE void load_eight(const BFloat16* source, float (&values)[8]) {
  widen(load<Words4>(source), values);
}
RADGPT_DEVICE void load_eight(const float* source, float (&values)[8]) {
  const Words4 left = load<Words4>(source), right = load<Words4>(source + 4);
#pragma unroll
  for (int j = 0; j < 4; ++j) {
    values[j] = word_as_float(left.word[j]);
    values[4 + j] = word_as_float(right.word[j]);
  }
}

/// The largest over the block, in every thread.
RADGPT_DEVICE float largest_of_block(float value, float* of_warp) {
#pragma unroll
  for (int mask = 1; mask < kWarp; mask *= 2) value = fmaxf(value, shuffle_xor(value, mask));
  if (threadIdx.x % kWarp == 0) of_warp[threadIdx.x / kWarp] = value;
  barrier();
  float largest = of_warp[0];
  for (int warp = 1; warp < kNf4Threads / kWarp; ++warp) largest = fmaxf(largest, of_warp[warp]);
  return largest;
}

/// Codes of eight values a thread, and the largest magnitude of every 64: eight threads.
template <typename T>
RADGPT_KERNEL(kNf4Threads, 1)
void nf4_codes_kernel(const T* source, int64_t count, uint8_t* codes, float* absmax) {
  const int64_t first = 8 * (static_cast<int64_t>(blockIdx.x) * kNf4Threads + threadIdx.x);
  float values[8] = {};
  if (first < count) load_eight(source + first, values);
  float largest = 0.0f;
#pragma unroll
  for (int j = 0; j < 8; ++j) largest = fmaxf(largest, fabsf(values[j]));
#pragma unroll
  for (int mask = 1; mask < kNf4Block / 8; mask *= 2) {
    largest = fmaxf(largest, shuffle_xor(largest, mask));
  }
  if (first >= count) return;
  const Normaliser normalised(largest);
  uint32_t word = 0;
#pragma unroll
  for (int j = 0; j < 8; ++j) {
    const auto code = static_cast<uint32_t>(nf4_code(normalised(values[j])));
    word |= code << (8 * (j / 2) + (j % 2 == 0 ? 4 : 0));
  }
  store(codes + first / 2, word);
  if (first % kNf4Block == 0) store(absmax + first / kNf4Block, largest);
}

/// One block: the mean of the largest magnitudes.
static RADGPT_KERNEL(kNf4Threads, 1) void nf4_offset_kernel(const float* absmax, int64_t count,
                                                            float* offset) {
  RADGPT_SHARED(double, of_thread, kNf4Threads);
  double sum = 0.0;
  for (int64_t j = threadIdx.x; j < count; j += kNf4Threads) sum += load<float>(absmax + j);
  of_thread[threadIdx.x] = sum;
  barrier();
  if (threadIdx.x != 0) return;
  sum = 0.0;
  for (int thread = 0; thread < kNf4Threads; ++thread) sum += of_thread[thread];
  store(offset, static_cast<float>(sum / static_cast<double>(count)));
}

/// One block a scale: the codes of 256 largest magnitudes.
static RADGPT_KERNEL(kNf4Threads, 1) void nf4_absmax_kernel(const float* absmax, Nf4Weight weight) {
  RADGPT_SHARED(float, map, 256);
  RADGPT_SHARED(float, of_warp, kNf4Threads / kWarp);
  const int64_t j = static_cast<int64_t>(blockIdx.x) * kNf4AbsmaxBlock + threadIdx.x;
  const bool inside = j < weight.blocks();
  map[threadIdx.x] = load<float>(weight.absmax_map + threadIdx.x);
  const float value = inside ? load<float>(absmax + j) - load<float>(weight.absmax_offset) : 0.0f;
  const float largest = largest_of_block(fabsf(value), of_warp);
  const int code = nearest_of_256(map, Normaliser(largest)(value));
  if (inside) store(weight.absmax_codes + j, static_cast<uint8_t>(code));
  if (threadIdx.x == 0) store(weight.absmax_scales + blockIdx.x, largest);
}

/// Scales of largest magnitudes that a block of nf4_dequantise_kernel works through, so that what
/// it reads beside the codes is little.
inline constexpr int kNf4Scales = 2;
inline constexpr int kNf4AbsmaxPerBlock = kNf4Scales * kNf4AbsmaxBlock;
inline constexpr uint32_t kNf4GroupsPerBlock = kNf4AbsmaxPerBlock * kNf4Block / 8;

/// Fills the tables of a block: the sixteen values, and the largest magnitudes from `first` on.
RADGPT_DEVICE void load_nf4_tables(const Nf4Weight& weight, int64_t first, float* values,
                                   float* absmax) {
  RADGPT_SHARED(float, map, 256);
  RADGPT_SHARED(float, scales, kNf4Scales + 1);  // and the offset
  const int thread = static_cast<int>(threadIdx.x);
  map[thread] = load<float>(weight.absmax_map + thread);
#pragma unroll
  for (int code = 0; code < 16; ++code) {
    if (thread == code) values[code] = nf4_value(code);
  }
  const int64_t scale = first / kNf4AbsmaxBlock + thread;
  if (thread < kNf4Scales && scale < weight.absmax_blocks()) {
    scales[thread] = load<float>(weight.absmax_scales + scale);
  }
  if (thread == 0) scales[kNf4Scales] = load<float>(weight.absmax_offset);
  barrier();
  for (int j = thread; j < kNf4AbsmaxPerBlock && first + j < weight.blocks(); j += kNf4Threads) {
    const int code = load<uint8_t>(weight.absmax_codes + first + j);
    absmax[j] = map[code] * scales[j / kNf4AbsmaxBlock] + scales[kNf4Scales];
  }
  barrier();
}

/// A block writes 32,768 values, eight a thread at a time, or, behind the blocks of values, as many
/// of the border.
static RADGPT_KERNEL(kNf4Threads, 1) void nf4_dequantise_kernel(Nf4Dequantise call,
                                                                uint32_t value_blocks) {
  RADGPT_SHARED(float, values, 16);
  RADGPT_SHARED(float, absmax, kNf4AbsmaxPerBlock);
  const bool is_border = blockIdx.x >= value_blocks;
  const uint32_t first = (is_border ? blockIdx.x - value_blocks : blockIdx.x) * kNf4GroupsPerBlock;
  const auto width = static_cast<uint32_t>((is_border ? call.border : call.weight.columns) / 8);
  const uint32_t left = static_cast<uint32_t>(call.weight.rows) * width - first;
  const uint32_t count = left < kNf4GroupsPerBlock ? left : kNf4GroupsPerBlock;
  if (!is_border) {
    load_nf4_tables(call.weight, int64_t{first} * 8 / kNf4Block, values, absmax);
  }
  for (uint32_t i = threadIdx.x; i < count; i += kNf4Threads) {
    const uint32_t group = first + i, row = group / width;
    BFloat16* result = call.result + row * call.result_stride + 8 * (group - row * width);
    if (is_border) {
      store(result + call.weight.columns, load<Words4>(call.border_values + int64_t{group} * 8));
      continue;
    }
    const auto codes = load<uint32_t>(call.weight.codes + int64_t{group} * 4);
    const float largest = absmax[i / (kNf4Block / 8)];
    Words4 eight;
#pragma unroll
    for (int j = 0; j < 4; ++j) {  // of a byte the high half comes first
      eight.word[j] = pack_bfloat16(values[codes >> (8 * j + 4) & 15] * largest,
                                    values[codes >> (8 * j) & 15] * largest);
    }
    store(result, eight);
  }
}

}  // namespace radgpt::kernels
