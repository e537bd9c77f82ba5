#include "kernels/primitives/dropout_mask.h"

#include <immintrin.h>

#include "kernels/primitives/lanes.h"

namespace radgpt::kernels {

namespace {

constexpr uint32_t kLeftFactor = 0xD2511F53, kRightFactor = 0xCD9E8D57;
constexpr uint32_t kLeftKey = 0x9E3779B9, kRightKey = 0xBB67AE85;
/// Registers that one loop of mask_bits_avx512 works on, so that none waits for its own product.
constexpr int kStreams = 4;

using LongWords = uint64_t __attribute__((vector_size(64)));

/// The 64-bit products of the lower halves.
[[gnu::target("avx512f"), gnu::always_inline]] inline LongWords product(const LongWords& a,
                                                                        const LongWords& b) {
  return reinterpret_cast<LongWords>(
      _mm512_maskz_mul_epu32(0xFF, reinterpret_cast<__m512i>(a), reinterpret_cast<__m512i>(b)));
}

/// The keys of all rounds in all lanes: the compiler would make them anew for every counter.
struct RoundKeys {
  LongWords left[kMaskRounds], right[kMaskRounds];

  explicit RoundKeys(std::array<uint32_t, 2> key) {
    for (int round = 0; round < kMaskRounds; ++round) {
      left[round] = LongWords{} + key[0];
      right[round] = LongWords{} + key[1];
      key[0] += kLeftKey;
      key[1] += kRightKey;
    }
  }
};

/// philox of 8 counters in each of some registers, a word in the lower half of 64 bits; the upper
/// half is whatever a product left there, which no product reads.
[[gnu::target("avx512f"), gnu::always_inline]] inline void philox_streams(
    const RoundKeys& keys, LongWords (&counter)[kStreams][4]) {
#pragma GCC unroll 7
  for (int round = 0; round < kMaskRounds; ++round) {
#pragma GCC unroll 4
    for (auto& c : counter) {
      const LongWords left = product(c[0], LongWords{} + kLeftFactor);
      const LongWords right = product(c[2], LongWords{} + kRightFactor);
      c[0] = (right >> 32) ^ c[1] ^ keys.left[round];
      c[1] = right;
      c[2] = (left >> 32) ^ c[3] ^ keys.right[round];
      c[3] = left;
    }
  }
}

/// Bits of 64 columns, from the words of their groups, one in each 64 bits.
[[gnu::target("avx512f,avx512bw,bmi2"), gnu::always_inline]] inline uint64_t kept_bits(
    const LongWords (&words)[4], uint32_t threshold) {
  const __m512i bound = _mm512_set1_epi16(static_cast<int16_t>(threshold));
  uint64_t kept = 0;
#pragma GCC unroll 2
  for (int w = 0; w < 4; w += 2) {
    const __m512i both = _mm512_mask_blend_epi32(0xAAAA, reinterpret_cast<__m512i>(words[w]),
                                                 reinterpret_cast<__m512i>(words[w + 1] << 32));
    const uint64_t halves = _mm512_cmpge_epu16_mask(both, bound);
    kept |= _pdep_u64(halves, uint64_t{0x0F0F0F0F0F0F0F0F} << (2 * w));
  }
  return kept;
}

[[gnu::target("avx512f,avx512bw,bmi2")]] void mask_bits_avx512(const DropoutMask& mask,
                                                               int64_t first, int64_t last,
                                                               int64_t columns, uint64_t* bits) {
  const LongWords groups = {0, 1, 2, 3, 4, 5, 6, 7};
  const RoundKeys keys(mask.key);
  for (int64_t row = first; row < last; ++row, bits += mask_words(columns)) {
    for (int64_t column = 0; column < columns; column += 64 * kStreams) {
      LongWords words[kStreams][4];
#pragma GCC unroll 4
      for (int i = 0; i < kStreams; ++i) {
        words[i][0] = groups + static_cast<uint64_t>(column / 8 + 8 * i);
        words[i][1] = LongWords{} + static_cast<uint32_t>(row);
        words[i][2] = LongWords{} + mask.module;
        words[i][3] = LongWords{} + mask.pack;
      }
      philox_streams(keys, words);
#pragma GCC unroll 4
      for (int i = 0; i < kStreams; ++i) {
        const uint64_t kept = kept_bits(words[i], mask.threshold);
        if (column + 64 * i < columns) bits[column / 64 + i] = kept;
      }
    }
  }
}

/// Both halves of the 64-bit products of 16 words with one word.
[[gnu::always_inline]] inline void multiply(const Words& words, uint64_t factor, Words& high,
                                            Words& low) {
  const LongWords lower_half = LongWords{} + 0xFFFFFFFF;
  const LongWords even = (reinterpret_cast<LongWords>(words) & lower_half) * factor;
  const LongWords odd = (reinterpret_cast<LongWords>(words) >> 32) * factor;
  low = reinterpret_cast<Words>((even & lower_half) | (odd << 32));
  high = reinterpret_cast<Words>((even >> 32) | (odd & ~lower_half));
}

/// philox of 16 counters at once.
[[gnu::always_inline]] inline void philox_lanes(std::array<uint32_t, 2> key, Words (&counter)[4]) {
#pragma GCC unroll 7
  for (int round = 0; round < kMaskRounds; ++round) {
    Words left_high, left_low, right_high, right_low;
    multiply(counter[0], kLeftFactor, left_high, left_low);
    multiply(counter[2], kRightFactor, right_high, right_low);
    counter[0] = right_high ^ counter[1] ^ key[0];
    counter[1] = right_low;
    counter[2] = left_high ^ counter[3] ^ key[1];
    counter[3] = left_low;
    key[0] += kLeftKey;
    key[1] += kRightKey;
  }
}

[[gnu::always_inline]] inline void row_bits(const DropoutMask& mask, uint32_t row, int64_t columns,
                                            uint64_t* bits) {
  const Words first = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
  for (int64_t column = 0; column < columns; column += 128) {
    Words words[4] = {first + static_cast<uint32_t>(column / 8), Words{} + row,
                      Words{} + mask.module, Words{} + mask.pack};
    philox_lanes(mask.key, words);
    Words kept{};  // eight bits a lane
    for (int w = 0; w < 4; ++w) {
      kept |= (words[w] & 0xFFFF) >= mask.threshold ? (Words{} + 1) << (2 * w) : Words{};
      kept |= words[w] >> 16 >= mask.threshold ? (Words{} + 2) << (2 * w) : Words{};
    }
    uint64_t lower = 0, upper = 0;
    for (int lane = 0; lane < 8; ++lane) {
      lower |= uint64_t{kept[lane]} << (8 * lane);
      upper |= uint64_t{kept[lane + 8]} << (8 * lane);
    }
    bits[column / 64] = lower;
    if (column + 64 < columns) bits[column / 64 + 1] = upper;
  }
}

[[RADGPT_VECTOR_CLONES]] void mask_bits_baseline(const DropoutMask& mask, int64_t first,
                                                 int64_t last, int64_t columns, uint64_t* bits) {
  for (int64_t row = first; row < last; ++row, bits += mask_words(columns)) {
    row_bits(mask, static_cast<uint32_t>(row), columns, bits);
  }
}

}  // namespace

void mask_bits(const DropoutMask& mask, int64_t first, int64_t last, int64_t columns,
               uint64_t* bits) {
  static const auto fastest = __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("bmi2")
                                  ? mask_bits_avx512
                                  : mask_bits_baseline;
  fastest(mask, first, last, columns, bits);
}

}  // namespace radgpt::kernels
