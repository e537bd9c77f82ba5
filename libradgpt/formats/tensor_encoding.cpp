#include "libradgpt/formats/tensor_encoding.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>

#include "libradgpt/base/error.h"

namespace radgpt {
namespace {

constexpr int64_t kQ8Block = 32;
constexpr int64_t kQ8Bytes = 2 + kQ8Block;
constexpr uint32_t kInfinity32 = 0x7F800000;
constexpr uint16_t kInfinity16 = 0x7C00;
constexpr float kSmallestNormal32 = 0x1p-126F;

uint32_t magnitude_of(float number) { return std::bit_cast<uint32_t>(number) & 0x7FFFFFFF; }

uint16_t sign_of(float number) { return std::bit_cast<uint32_t>(number) >> 16 & 0x8000; }

bool is_finite(float number) { return magnitude_of(number) < kInfinity32; }

uint16_t to_bf16(float number) {
  const auto bits = std::bit_cast<uint32_t>(number);
  return static_cast<uint16_t>((bits + 0x7FFF + (bits >> 16 & 1)) >> 16);
}

/// Of a finite number; the magnitude is kInfinity16 or above for one that is too large.
uint16_t to_fp16(float number) {
  constexpr uint32_t kSmallestNormal = 0x38800000;  // 2^-14
  constexpr uint32_t kLarge = 0x477FF000;           // 65520, which rounds to infinity
  const uint32_t magnitude = magnitude_of(number);
  if (magnitude >= kLarge) return sign_of(number) | kInfinity16;
  if (magnitude >= kSmallestNormal) {
    constexpr uint32_t kExponentShift = (127 - 15) << 23;
    const uint32_t rounded = magnitude + 0xFFF + (magnitude >> 13 & 1);
    return static_cast<uint16_t>(sign_of(number) | (rounded - kExponentShift) >> 13);
  }
  // Next to 0.5 floats are 2^-24 apart, as subnormal halves are: the addition rounds.
  const float shifted = std::bit_cast<float>(magnitude) + 0.5F;
  const uint32_t steps = std::bit_cast<uint32_t>(shifted) - std::bit_cast<uint32_t>(0.5F);
  return static_cast<uint16_t>(sign_of(number) | steps);
}

bool is_finite_bits(uint16_t bits, uint16_t infinity) { return (bits & infinity) != infinity; }

/// Stores one 16-bit number each; false if one is out of range.
template <typename Convert>
bool store_halves(std::span<const float> numbers, std::byte* into, uint16_t infinity,
                  Convert convert) {
  bool in_range = true;
  for (size_t i = 0; i < numbers.size(); ++i) {
    const uint16_t bits = convert(numbers[i]);
    in_range &= is_finite(numbers[i]) && is_finite_bits(bits, infinity);
    std::memcpy(into + 2 * i, &bits, sizeof bits);
  }
  return in_range;
}

bool store_q8_block(const float* numbers, std::byte* into) {
  uint32_t largest = 0;  // as bits, which order like the magnitudes and put NaN on top
  for (int64_t i = 0; i < kQ8Block; ++i) largest = std::max(largest, magnitude_of(numbers[i]));
  if (largest >= kInfinity32) return false;
  const float step = std::bit_cast<float>(largest) / 127;
  const float per_step = step < kSmallestNormal32 ? 0 : 1 / step;
  const uint16_t stored_step = to_fp16(step);
  std::memcpy(into, &stored_step, sizeof stored_step);
  for (int64_t i = 0; i < kQ8Block; ++i) {
    const auto level = static_cast<int8_t>(std::round(numbers[i] * per_step));
    std::memcpy(into + 2 + i, &level, 1);
  }
  return is_finite_bits(stored_step, kInfinity16);
}

bool store(TensorEncoding encoding, std::span<const float> numbers, std::byte* into) {
  switch (encoding) {
    case TensorEncoding::kFp32:
      std::memcpy(into, numbers.data(), numbers.size_bytes());
      return std::all_of(numbers.begin(), numbers.end(), is_finite);
    case TensorEncoding::kFp16:
      return store_halves(numbers, into, kInfinity16, to_fp16);
    case TensorEncoding::kBf16:
      return store_halves(numbers, into, 0x7F80, to_bf16);
    case TensorEncoding::kQ8_0:
      break;
  }
  bool in_range = true;
  for (size_t block = 0; block < numbers.size() / kQ8Block; ++block) {
    in_range &= store_q8_block(&numbers[block * kQ8Block], into + block * kQ8Bytes);
  }
  return in_range;
}

}  // namespace

std::string_view name_of(TensorEncoding encoding) {
  constexpr std::array<std::string_view, 4> kNames = {"fp32", "fp16", "bf16", "q8_0"};
  return kNames[static_cast<size_t>(encoding)];
}

int64_t block_size(TensorEncoding encoding) {
  return encoding == TensorEncoding::kQ8_0 ? kQ8Block : 1;
}

int64_t encoded_bytes(TensorEncoding encoding, int64_t numbers) {
  switch (encoding) {
    case TensorEncoding::kFp32:
      return 4 * numbers;
    case TensorEncoding::kQ8_0:
      return numbers / kQ8Block * kQ8Bytes;
    default:
      return 2 * numbers;
  }
}

void encode_tensor(TensorEncoding encoding, std::span<const float> numbers,
                   std::span<std::byte> into, const std::string& where) {
  const auto count = static_cast<int64_t>(numbers.size());
  require(count % block_size(encoding) == 0, where, ": must have rows of a multiple of ",
          block_size(encoding), " numbers for ", name_of(encoding));
  require(static_cast<int64_t>(into.size()) == encoded_bytes(encoding, count), where,
          ": must be encoded into ", encoded_bytes(encoding, count), " bytes, got ", into.size());
  require(store(encoding, numbers, into.data()), where, ": must be finite and within the range of ",
          name_of(encoding), ", got NaN, an infinity or a larger number");
}

}  // namespace radgpt
