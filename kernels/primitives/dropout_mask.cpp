#include "kernels/primitives/dropout_mask.h"

#include "kernels/primitives/lanes.h"

namespace radgpt::kernels {

namespace {

using LongWords = uint64_t __attribute__((vector_size(64)));

/// Both halves of the 64-bit products of 16 words with one word.
[[gnu::always_inline]] inline void multiply(const Words& words, uint64_t factor, Words& high,
                                            Words& low) {
  const LongWords lower_half = LongWords{} + 0xFFFFFFFF;
  const LongWords even = (reinterpret_cast<LongWords>(words) & lower_half) * factor;
  const LongWords odd = (reinterpret_cast<LongWords>(words) >> 32) * factor;
  low = reinterpret_cast<Words>((even & lower_half) | (odd << 32));
  high = reinterpret_cast<Words>((even >> 32) | (odd & ~lower_half));
}

/// philox() of 16 counters at once; they differ in their first word.
[[gnu::always_inline]] inline void philox_lanes(std::array<uint32_t, 2> key, Words (&counter)[4]) {
#pragma GCC unroll 10
  for (int round = 0; round < 10; ++round) {
    Words left_high, left_low, right_high, right_low;
    multiply(counter[0], 0xD2511F53, left_high, left_low);
    multiply(counter[2], 0xCD9E8D57, right_high, right_low);
    counter[0] = right_high ^ counter[1] ^ key[0];
    counter[1] = right_low;
    counter[2] = left_high ^ counter[3] ^ key[1];
    counter[3] = left_low;
    key[0] += 0x9E3779B9;
    key[1] += 0xBB67AE85;
  }
}

/// Lane i of word w becomes element 4 i + w.
[[gnu::always_inline]] inline void interleave(const Lanes<float> (&words)[4], float* out) {
  const Words lower = {0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23};
  const Words upper = {8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31};
  for (int half = 0; half < 2; ++half) {
    const Words& part = half == 0 ? lower : upper;
    const Lanes<float> even = __builtin_shuffle(words[0], words[2], part);
    const Lanes<float> odd = __builtin_shuffle(words[1], words[3], part);
    put(__builtin_shuffle(even, odd, lower), 16, out + 32 * half);
    put(__builtin_shuffle(even, odd, upper), 16, out + 32 * half + 16);
  }
}

/// kMaskStep factors of one row, from `column` on.
[[gnu::always_inline]] inline void mask_step(const DropoutMask& mask, int64_t row, int64_t column,
                                             float* factors) {
  const Words first = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
  const Lanes<float> kept = Lanes<float>{} + static_cast<float>(mask.kept);
  Words words[4] = {first + static_cast<uint32_t>(column / 4), Words{} + static_cast<uint32_t>(row),
                    Words{} + mask.module, Words{} + mask.pack};
  philox_lanes(mask.key, words);
  Lanes<float> values[4];
  for (int w = 0; w < 4; ++w) values[w] = words[w] >= mask.threshold ? kept : Lanes<float>{};
  interleave(values, factors);
}

// Not target_clones: AVX-512 DQ, which it does not know, multiplies 64-bit words in one
// instruction.
[[gnu::target("avx512f,avx512dq")]] void mask_row_avx512(const DropoutMask& mask, int64_t row,
                                                         int64_t columns, float* factors) {
  for (int64_t column = 0; column < columns; column += kMaskStep) {
    mask_step(mask, row, column, factors + column);
  }
}

[[gnu::target_clones("avx2", "default")]] void mask_row_baseline(const DropoutMask& mask,
                                                                 int64_t row, int64_t columns,
                                                                 float* factors) {
  for (int64_t column = 0; column < columns; column += kMaskStep) {
    mask_step(mask, row, column, factors + column);
  }
}

}  // namespace

void mask_row(const DropoutMask& mask, int64_t row, int64_t columns, float* factors) {
  static const auto fastest =
      __builtin_cpu_supports("avx512dq") ? mask_row_avx512 : mask_row_baseline;
  fastest(mask, row, columns, factors);
}

void mask_row(const DropoutMask& mask, int64_t row, int64_t columns, double* factors) {
  float step[kMaskStep];
  for (int64_t column = 0; column < columns; column += kMaskStep) {
    mask_step(mask, row, column, step);
    for (int64_t i = 0; i < kMaskStep; ++i) factors[column + i] = step[i] != 0 ? mask.kept : 0.0;
  }
}

}  // namespace radgpt::kernels
