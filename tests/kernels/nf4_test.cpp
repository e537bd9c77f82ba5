#include "kernels/nf4/nf4.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "kernels/nf4/nf4_code.h"
#include "tests/catch.h"
#include "tests/kernels/accuracy.h"
#include "tests/kernels/device_memory.h"
#include "tests/kernels/values.h"

using namespace radgpt;
using namespace radgpt::kernels;

namespace {

/// Half of the widest gap between two of the sixteen values, -1 and -0.696.
constexpr double kHalfGap = (1.0 - 0.6961928009986877) / 2;

struct Quantised {
  int64_t rows, columns;
  std::vector<uint8_t> codes, absmax_codes;
  std::vector<float> scales, offset;

  Quantised(int64_t row_count, int64_t column_count) : rows(row_count), columns(column_count) {
    const Nf4Weight sizes{.rows = rows, .columns = columns};
    codes.resize((sizes.values() + 1) / 2);
    absmax_codes.resize(sizes.blocks());
    scales.resize(sizes.absmax_blocks());
    offset.resize(1);
  }
  Nf4Weight weight() {
    static const std::array<float, 256> map = nf4_absmax_map();
    return {.rows = rows,
            .columns = columns,
            .codes = codes.data(),
            .absmax_codes = absmax_codes.data(),
            .absmax_scales = scales.data(),
            .absmax_offset = offset.data(),
            .absmax_map = map.data()};
  }
  int code(int64_t i) const { return codes[i / 2] >> (i % 2 == 0 ? 4 : 0) & 15; }
  bool operator==(const Quantised&) const = default;
};

template <typename T>
Quantised quantised_by_cpu(const std::vector<T>& source, int64_t rows, int64_t columns) {
  Quantised result(rows, columns);
  nf4_quantise_cpu(source.data(), result.weight(), ThreadWorkers(2));
  return result;
}

std::vector<float> map_values() {
  const std::array<float, 256> map = nf4_absmax_map();
  return std::vector<float>(map.begin(), map.end());
}

template <typename T>
Quantised quantised_by_device(const std::vector<T>& source, int64_t rows, int64_t columns,
                              uint64_t order = 0) {
  const DeviceOrder lanes(order);
  DeviceMemory memory;
  Quantised result(rows, columns);
  Nf4Weight weight = result.weight();
  weight.codes = memory.output<uint8_t>("codes", weight.values() / 2);
  weight.absmax_codes = memory.output<uint8_t>("absmax_codes", weight.blocks());
  weight.absmax_scales = memory.output<float>("scales", weight.absmax_blocks());
  weight.absmax_offset = memory.output<float>("offset", 1);
  weight.absmax_map = memory.input("map", map_values());
  const size_t bytes = nf4_quantise_workspace(weight);
  nf4_quantise_cuda(memory.input("source", source), weight,
                    {memory.output<uint8_t>("workspace", static_cast<int64_t>(bytes)), bytes},
                    nullptr);
  for (const char* name : {"codes", "absmax_codes", "scales", "offset"}) {
    CHECK(memory.every_byte_written(name));
  }
  result.codes = memory.values<uint8_t>("codes");
  result.absmax_codes = memory.values<uint8_t>("absmax_codes");
  result.scales = memory.values<float>("scales");
  result.offset = memory.values<float>("offset");
  return result;
}

/// What the codes mean, in S.
template <typename S>
std::vector<S> meaning(Quantised& quantised) {
  const Nf4Weight weight = quantised.weight();
  std::vector<S> values;
  for (int64_t i = 0; i < weight.values(); ++i) {
    const int64_t block = i / 64;
    const S absmax =
        S(weight.absmax_map[weight.absmax_codes[block]]) * S(weight.absmax_scales[block / 256]) +
        S(*weight.absmax_offset);
    values.push_back(S(nf4_value(quantised.code(i))) * absmax);
  }
  return values;
}

struct Bordered {
  int64_t border, stride;
  std::vector<BFloat16> border_values, result;

  Bordered(const Quantised& quantised, int64_t border_columns, int64_t padding)
      : border(border_columns),
        stride(quantised.columns + border_columns + padding),
        border_values(random_values<BFloat16>(quantised.rows * border, 1.0, 21)),
        result(random_values<BFloat16>(quantised.rows * stride, 1.0, 22)) {}
};

std::vector<BFloat16> dequantised_by_device(Quantised& quantised, const Bordered& bordered,
                                            uint64_t order = 0) {
  const DeviceOrder lanes(order);
  DeviceMemory memory;
  Nf4Weight weight = quantised.weight();
  weight.codes = const_cast<uint8_t*>(memory.input("codes", quantised.codes));
  weight.absmax_codes = const_cast<uint8_t*>(memory.input("absmax_codes", quantised.absmax_codes));
  weight.absmax_scales = const_cast<float*>(memory.input("scales", quantised.scales));
  weight.absmax_offset = const_cast<float*>(memory.input("offset", quantised.offset));
  weight.absmax_map = memory.input("map", map_values());
  nf4_dequantise_cuda({.weight = weight,
                       .result = memory.in_place("result", bordered.result),
                       .result_stride = bordered.stride,
                       .border = bordered.border,
                       .border_values = memory.input("border", bordered.border_values)},
                      nullptr);
#ifndef RADGPT_TEST_ON_GPU
  const int64_t codes = weight.values() / 2, border = weight.rows * bordered.border * 2;
  CHECK(memory.traffic("codes").requested == simt::Bytes{codes, 0});
  CHECK(memory.traffic("border").requested == simt::Bytes{border, 0});
  CHECK(memory.traffic("result").requested == simt::Bytes{0, 4 * codes + border});
  const simt::Bytes all = memory.traffic().requested;
  const int64_t tables = all.read - codes - border;  // of largest magnitudes
  if (codes > 100000) CHECK(static_cast<double>(tables) < 0.02 * (5 * codes + 2 * border));
#endif
  return memory.values<BFloat16>("result");
}

std::vector<BFloat16> dequantised_by_cpu(Quantised& quantised, Bordered bordered) {
  nf4_dequantise_cpu({.weight = quantised.weight(),
                      .result = bordered.result.data(),
                      .result_stride = bordered.stride,
                      .border = bordered.border,
                      .border_values = bordered.border_values.data()},
                     ThreadWorkers(2));
  return bordered.result;
}

/// Weight as accurate as the plain formula, border copied, the rest of the stride as it was.
void expect_bordered(Quantised& quantised, const Bordered& bordered,
                     const std::vector<BFloat16>& result) {
  std::vector<double> weight;
  for (int64_t row = 0; row < quantised.rows; ++row) {
    const auto begin = result.begin() + row * bordered.stride;
    weight.insert(weight.end(), begin, begin + quantised.columns);
    for (int64_t i = quantised.columns; i < bordered.stride; ++i) {
      const int64_t j = i - quantised.columns, at = row * bordered.stride + i;
      const BFloat16 expected = j < bordered.border
                                    ? bordered.border_values[row * bordered.border + j]
                                    : bordered.result[at];
      if (result[at].bits != expected.bits) FAIL("row " << row << ", column " << i);
    }
  }
  std::vector<double> plain;
  for (const float value : meaning<float>(quantised)) plain.push_back(BFloat16(value));
  expect_as_accurate_as(plain, {weight, rounding_of<BFloat16>()}, meaning<double>(quantised));
}

struct Size {
  int64_t rows, columns;
};

}  // namespace

TEST_CASE("NF4: the sixteen values have their own codes, the first in the high half") {
  std::vector<float> source;
  for (int i = 0; i < 64; ++i) source.push_back(3.0f * nf4_value(i % 16));
  for (const Quantised& result :
       {quantised_by_cpu(source, 1, 64), quantised_by_device(source, 1, 64)}) {
    CHECK(std::vector<uint8_t>(result.codes.begin(), result.codes.begin() + 8) ==
          std::vector<uint8_t>{0x01, 0x23, 0x45, 0x67, 0x89, 0xAB, 0xCD, 0xEF});
    CHECK(result.offset[0] == 3.0f);
    CHECK(result.scales[0] == 0.0f);
  }
}

TEST_CASE("NF4: the sixteen values, and where one gives way to the next, are QLoRA's") {
  // bitsandbytes, functional.py and kernels.cu.
  constexpr double kValues[] = {-1.0,
                                -0.6961928009986877,
                                -0.5250730514526367,
                                -0.39491748809814453,
                                -0.28444138169288635,
                                -0.18477343022823334,
                                -0.09105003625154495,
                                0.0,
                                0.07958029955625534,
                                0.16093020141124725,
                                0.24611230194568634,
                                0.33791524171829224,
                                0.44070982933044434,
                                0.5626170039176941,
                                0.7229568362236023,
                                1.0};
  constexpr float kThresholds[] = {
      -0.8480964004993439f,  -0.6106329262256622f,  -0.4599952697753906f,   -0.33967943489551544f,
      -0.23460740596055984f, -0.13791173323988914f, -0.045525018125772476f, 0.03979014977812767f,
      0.1202552504837513f,   0.2035212516784668f,   0.2920137718319893f,    0.3893125355243683f,
      0.5016634166240692f,   0.6427869200706482f,   0.8614784181118011f};
  for (int code = 0; code < 16; ++code) CHECK(nf4_value(code) == static_cast<float>(kValues[code]));
  for (int code = 0; code < 15; ++code) {
    CHECK(nf4_code(kThresholds[code]) == code);
    CHECK(nf4_code(std::nextafter(kThresholds[code], 2.0f)) == code + 1);
  }
  CHECK(nf4_code(-1.0f) == 0);
  CHECK(nf4_code(0.0f) == 7);
  CHECK(nf4_code(1.0f) == 15);
}

TEST_CASE("NF4: the map of largest magnitudes is that of bitsandbytes") {
  const std::vector<float> map = map_values();
  CHECK(std::is_sorted(map.begin(), map.end()));
  CHECK(std::adjacent_find(map.begin(), map.end()) == map.end());
  CHECK(map[127] == 0.0f);
  CHECK(map[255] == 1.0f);
  // By hand: 1e-6 times the middle of [0.1, 1]; the last of 64 parts of it; the same, negative.
  CHECK(map[128] == Approx(0.55e-6));
  CHECK(map[254] == Approx(1 - 0.9 / 128));
  CHECK(map[0] == Approx(-1 + 0.9 / 128));
  // 1e-5 times the middles of [0.1, 0.55] and [0.55, 1].
  CHECK(map[129] == Approx(0.325e-5));
  CHECK(map[130] == Approx(0.775e-5));
  for (int i = 0; i < 256; ++i) CHECK(nearest_of_256(map.data(), map[i]) == i);
  CHECK(nearest_of_256(map.data(), -1.0f) == 0);
  CHECK(nearest_of_256(map.data(), 0.999f) == 255);
}

TEST_CASE("NF4: values come back to within half a gap") {
  for (const Size size : {Size{1, 8}, {1, 64}, {3, 40}, {7, 72}, {37, 1000}, {64, 1032}}) {
    INFO(size.rows << " x " << size.columns);
    const auto source = random_values<float>(size.rows * size.columns, 0.05, 31);
    Quantised result = quantised_by_cpu(source, size.rows, size.columns);
    const std::vector<double> values = meaning<double>(result);
    for (int64_t block = 0; block < result.weight().blocks(); ++block) {
      const int64_t first = block * 64;
      const int64_t end = std::min<int64_t>(first + 64, source.size());
      float absmax = 0;
      for (int64_t i = first; i < end; ++i) absmax = std::max(absmax, std::abs(source[i]));
      // Largest magnitudes are off by at most half a gap of the map's last decade.
      const double slack = result.scales[block / 256] * 0.9 / 64 / 2 + 1e-6;
      for (int64_t i = first; i < end; ++i) {
        if (std::abs(values[i] - source[i]) > kHalfGap * absmax + slack) FAIL("value " << i);
      }
    }
  }
}

template <typename T>
void expect_same_codes(const Size& size) {
  INFO(size.rows << " x " << size.columns);
  const auto source = random_values<T>(size.rows * size.columns, 0.05, 32);
  const Quantised result = quantised_by_device(source, size.rows, size.columns, 1);
  CHECK(result == quantised_by_cpu(source, size.rows, size.columns));
  CHECK(result == quantised_by_device(source, size.rows, size.columns, 2));
}

TEMPLATE_TEST_CASE("NF4: the kernel makes the codes that the CPU makes", "", float, BFloat16) {
  for (const Size size : {Size{1, 8}, {1, 64}, {3, 40}, {7, 72}, {37, 1000}}) {
    expect_same_codes<TestType>(size);
  }
}

TEST_CASE("NF4: several blocks make the codes that the CPU makes", "[small]") {
  expect_same_codes<BFloat16>({1, 2056});
}

TEST_CASE("NF4: a block of zeros comes back as zeros", "[small]") {
  std::vector<float> source = random_values<float>(3 * 64, 1.0, 33);
  std::fill(source.begin() + 64, source.begin() + 128, 0.0f);
  for (Quantised result : {quantised_by_cpu(source, 3, 64), quantised_by_device(source, 3, 64)}) {
    const std::vector<double> values = meaning<double>(result);
    for (int i = 64; i < 128; ++i) CHECK(values[i] == 0.0);
  }
  for (const Quantised& result : {quantised_by_cpu(std::vector<float>(64), 1, 64),
                                  quantised_by_device(std::vector<float>(64), 1, 64)}) {
    CHECK(result.codes == std::vector<uint8_t>(32, 0x77));
    CHECK(result.offset[0] == 0.0f);
  }
}

TEST_CASE("NF4: denormal values have the codes of the same values in range") {
  std::vector<float> source, denormal;
  for (const BFloat16 value : random_values<BFloat16>(128, 1.0, 34)) {
    source.push_back(value);
    denormal.push_back(value * 0x1p-130f);
  }
  const Quantised large = quantised_by_cpu(source, 2, 64);
  for (const Quantised& small :
       {quantised_by_cpu(denormal, 2, 64), quantised_by_device(denormal, 2, 64)}) {
    CHECK(small.offset[0] == large.offset[0] * 0x1p-130f);
    CHECK(small.codes == large.codes);
    CHECK(small.absmax_codes == large.absmax_codes);
  }
}

TEST_CASE("NF4: an odd number of values, on the CPU") {
  const auto source = random_values<float>(3 * 43, 1.0, 35);
  Quantised result = quantised_by_cpu(source, 3, 43);
  CHECK((result.codes.back() & 15) == 7);  // zero where no value is
  Bordered bordered(result, 3, 2);
  expect_bordered(result, bordered, dequantised_by_cpu(result, bordered));
}

TEST_CASE("NF4: dequantises into a weight with its border", "[small]") {
  struct Case {
    Size size;
    int64_t border, padding;
  };
  for (const Case& c : {Case{{1, 8}, 0, 0},
                        {{1, 64}, 8, 0},
                        {{3, 40}, 16, 8},
                        {{7, 72}, 64, 0},
                        {{37, 1000}, 8, 56},
                        {{300, 1024}, 64, 0}}) {
    INFO(c.size.rows << " x " << c.size.columns);
    const auto source = random_values<BFloat16>(c.size.rows * c.size.columns, 0.05, 36);
    Quantised quantised = quantised_by_cpu(source, c.size.rows, c.size.columns);
    const Bordered bordered(quantised, c.border, c.padding);
    const std::vector<BFloat16> result = dequantised_by_device(quantised, bordered, 1);
    expect_bordered(quantised, bordered, result);
    expect_bordered(quantised, bordered, dequantised_by_cpu(quantised, bordered));
    CHECK(same_bits(result, dequantised_by_device(quantised, bordered, 2)));
  }
}

TEST_CASE("NF4: refuses what the kernels cannot do") {
  Quantised quantised(2, 16);
  const Bordered bordered(quantised, 8, 0);
  const auto refuses = [&](const std::string& message, auto change) {
    alignas(16) static BFloat16 somewhere[64];
    Nf4Dequantise call{.weight = quantised.weight(),
                       .result = somewhere,
                       .result_stride = 24,
                       .border = 8,
                       .border_values = somewhere};
    call.weight.codes = reinterpret_cast<uint8_t*>(somewhere);
    call.weight.absmax_codes = reinterpret_cast<uint8_t*>(somewhere);
    call.weight.absmax_scales = reinterpret_cast<float*>(somewhere);
    change(call);
    CHECK_THROWS_WITH(nf4_dequantise_cuda(call, nullptr),
                      Catch::Matchers::ContainsSubstring(message));
  };
  refuses("columns must be a multiple of 8", [](auto& call) { call.weight.columns = 12; });
  refuses("border must be a multiple of 8", [](auto& call) { call.border = 4; });
  refuses("result_stride must be at least 24, got 16", [](auto& call) { call.result_stride = 16; });
  refuses("result must be aligned to 16 bytes", [](auto& call) { ++call.result; });
  CHECK_THROWS_WITH(
      nf4_quantise_cuda<float>(nullptr, Nf4Weight{.rows = 2, .columns = 64}, {}, nullptr),
      "nf4_quantise: codes must not be null");
  alignas(16) static float source[128];
  auto* bytes = reinterpret_cast<uint8_t*>(source);
  const Nf4Weight weight{.rows = 2,
                         .columns = 64,
                         .codes = bytes,
                         .absmax_codes = bytes,
                         .absmax_scales = source,
                         .absmax_offset = source};
  CHECK_THROWS_WITH(nf4_quantise_cuda<float>(source, weight, {}, nullptr),
                    "nf4_quantise: needs a workspace of 8 bytes, got 0");
}
