#include "libradgpt/formats/tensor_encoding.h"

#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "tests/formats/refusal.h"

namespace radgpt {
namespace {

using Numbers = std::vector<float>;
using Halves = std::vector<uint16_t>;

std::vector<std::byte> encoded(TensorEncoding encoding, const Numbers& numbers) {
  const auto count = static_cast<int64_t>(numbers.size());
  std::vector<std::byte> bytes(static_cast<size_t>(encoded_bytes(encoding, count)));
  encode_tensor(encoding, numbers, bytes, "a tensor");
  return bytes;
}

Halves encoded_halves(TensorEncoding encoding, const Numbers& numbers) {
  const std::vector<std::byte> bytes = encoded(encoding, numbers);
  Halves halves(numbers.size());
  std::memcpy(halves.data(), bytes.data(), bytes.size());
  return halves;
}

/// The number that 16 bits stand for, by the formula of IEEE 754.
double value_of(uint16_t bits, int mantissa_bits, int bias) {
  const int exponent = (bits & 0x7FFF) >> mantissa_bits;
  const int mantissa = bits & ((1 << mantissa_bits) - 1);
  const double fraction = std::ldexp(mantissa, -mantissa_bits);
  const double size =
      exponent == 0 ? std::ldexp(fraction, 1 - bias) : std::ldexp(1 + fraction, exponent - bias);
  return bits & 0x8000 ? -size : size;
}

/// Every finite number of a 16-bit type keeps its bits, and what lies between two of them goes to
/// the nearer one, on a tie to the even one.
void check_sixteen_bits(TensorEncoding encoding, int mantissa_bits, int bias) {
  const int infinity = 0x8000 - (1 << mantissa_bits);
  Numbers numbers;
  Halves expected;
  for (const int sign : {0, 0x8000}) {
    for (int low = 0; low + 1 < infinity; ++low) {
      const auto bits = static_cast<uint16_t>(sign | low);
      const auto next = static_cast<uint16_t>(bits + 1);
      const auto here = static_cast<float>(value_of(bits, mantissa_bits, bias));
      const auto there = static_cast<float>(value_of(next, mantissa_bits, bias));
      const auto middle = static_cast<float>((double{here} + there) / 2);
      numbers.push_back(here);
      expected.push_back(bits);
      numbers.push_back(middle);
      expected.push_back(low % 2 == 0 ? bits : next);
      if (middle == here || middle == there) continue;  // float has no number between
      numbers.push_back(std::nextafter(middle, here));
      expected.push_back(bits);
      numbers.push_back(std::nextafter(middle, there));
      expected.push_back(next);
    }
  }
  CHECK(numbers.size() > 4 * 31'000);
  CHECK(encoded_halves(encoding, numbers) == expected);
}

TEST_CASE("Tensor encoding: fp16 and bf16 round to the nearest number, ties to even") {
  check_sixteen_bits(TensorEncoding::kFp16, 10, 15);
  check_sixteen_bits(TensorEncoding::kBf16, 7, 127);
}

TEST_CASE("Tensor encoding: fp32 keeps its bits") {
  const Numbers numbers = {0.1F, -0.0F, 1e-45F, 3.4e38F};
  const std::vector<std::byte> bytes = encoded(TensorEncoding::kFp32, numbers);
  CHECK(std::memcmp(bytes.data(), numbers.data(), bytes.size()) == 0);
}

TEST_CASE("Tensor encoding: q8_0 is a step and 32 levels, halves away from zero") {
  Numbers numbers(64, 0.0F);
  const Numbers first = {127, -127, 0.5F, -0.5F, 1.5F, 2.49F, -2.51F, 126.5F};
  std::copy(first.begin(), first.end(), numbers.begin());
  numbers[32] = -254;  // step 2
  numbers[33] = 3;
  const std::vector<std::byte> bytes = encoded(TensorEncoding::kQ8_0, numbers);
  REQUIRE(bytes.size() == 68);
  std::vector<int> levels;
  for (int i = 2; i < 10; ++i) levels.push_back(static_cast<int8_t>(bytes[i]));
  CHECK(levels == std::vector<int>{127, -127, 1, -1, 2, 2, -3, 127});
  CHECK((bytes[0] == std::byte{0} && bytes[1] == std::byte{0x3C}));    // 1
  CHECK((bytes[34] == std::byte{0} && bytes[35] == std::byte{0x40}));  // 2
  CHECK(static_cast<int8_t>(bytes[36]) == -127);
  CHECK(static_cast<int8_t>(bytes[37]) == 2);
  CHECK(bytes[38] == std::byte{0});
}

TEST_CASE("Tensor encoding: a block of zeros or of numbers too small for a step is zeros") {
  Numbers numbers(64, 0.0F);
  numbers[40] = 1e-40F;
  for (const std::byte byte : encoded(TensorEncoding::kQ8_0, numbers)) CHECK(byte == std::byte{0});
}

TEST_CASE("Tensor encoding: what the encoding cannot hold is refused") {
  const float infinity = std::numeric_limits<float>::infinity();
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const std::vector<std::pair<TensorEncoding, Numbers>> table = {
      {TensorEncoding::kFp32, {nan, -infinity}},
      {TensorEncoding::kFp16, {nan, infinity, 65520, -1e5F}},
      {TensorEncoding::kBf16, {nan, -infinity, 3.4e38F}},
      {TensorEncoding::kQ8_0, {nan, infinity, 8.4e6F}},
  };
  for (const auto& [encoding, bad] : table) {
    for (const float number : bad) {
      INFO(name_of(encoding) << " " << number);
      Numbers numbers(32, 1);
      numbers[17] = number;
      check_message(refusal([&] { encoded(encoding, numbers); }), "a tensor",
                    {"must be finite and within the range of " + std::string(name_of(encoding))});
    }
  }
  CHECK(encoded_halves(TensorEncoding::kFp16, {65519}) == Halves{0x7BFF});
}

TEST_CASE("Tensor encoding: sizes that do not fit are refused") {
  std::vector<std::byte> bytes(7);
  const Numbers numbers(33, 1);
  check_message(refusal([&] { encode_tensor(TensorEncoding::kQ8_0, numbers, bytes, "a tensor"); }),
                "a tensor", {"a multiple of 32 numbers for q8_0"});
  check_message(refusal([&] { encode_tensor(TensorEncoding::kBf16, numbers, bytes, "a tensor"); }),
                "a tensor", {"into 66 bytes, got 7"});
}

}  // namespace
}  // namespace radgpt
