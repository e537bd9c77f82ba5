#include <algorithm>
#include <cmath>
#include <vector>

#include "kernels/nf4/nf4.h"
#include "kernels/nf4/nf4_code.h"

namespace radgpt::kernels {

namespace {

/// Codes of one block of 64 values; returns the largest magnitude.
template <typename T>
float quantise_block(const T* source, int64_t count, uint8_t* codes) {
  float largest = 0.0f;
  for (int64_t i = 0; i < count; ++i) {
    largest = std::max(largest, std::abs(static_cast<float>(source[i])));
  }
  const Normaliser normalised(largest);
  const auto code = [&](int64_t i) {
    return nf4_code(i < count ? normalised(static_cast<float>(source[i])) : 0.0f);
  };
  for (int64_t i = 0; i < count; i += 2) {
    codes[i / 2] = static_cast<uint8_t>(code(i) << 4 | code(i + 1));
  }
  return largest;
}

/// Codes and scale of up to 256 largest magnitudes.
void quantise_absmax(const float* absmax, int64_t count, const Nf4Weight& weight, int64_t first) {
  const float offset = *weight.absmax_offset;
  float largest = 0.0f;
  for (int64_t j = 0; j < count; ++j) largest = std::max(largest, std::abs(absmax[j] - offset));
  weight.absmax_scales[first / kNf4AbsmaxBlock] = largest;
  const Normaliser normalised(largest);
  for (int64_t j = 0; j < count; ++j) {
    weight.absmax_codes[first + j] =
        static_cast<uint8_t>(nearest_of_256(weight.absmax_map, normalised(absmax[j] - offset)));
  }
}

float absmax_of(const Nf4Weight& weight, int64_t block) {
  return weight.absmax_map[weight.absmax_codes[block]] *
             weight.absmax_scales[block / kNf4AbsmaxBlock] +
         *weight.absmax_offset;
}

void dequantise_row(const Nf4Dequantise& call, int64_t row) {
  const Nf4Weight& weight = call.weight;
  BFloat16* result = call.result + row * call.result_stride;
  float absmax = 0.0f;
  for (int64_t column = 0; column < weight.columns; ++column) {
    const int64_t i = row * weight.columns + column;
    if (column == 0 || i % kNf4Block == 0) absmax = absmax_of(weight, i / kNf4Block);
    const int code = weight.codes[i / 2] >> (i % 2 == 0 ? 4 : 0) & 15;
    result[column] = BFloat16(nf4_value(code) * absmax);
  }
  std::copy_n(call.border_values + row * call.border, call.border, result + weight.columns);
}

}  // namespace

std::array<float, 256> nf4_absmax_map() {
  std::array<float, 256> map{};
  size_t count = 0;
  map[count++] = 0.0f;
  map[count++] = 1.0f;
  for (int decade = 0; decade < 7; ++decade) {
    const int parts = 1 << decade;
    for (int part = 0; part < parts; ++part) {
      const double middle = 0.1 + 0.9 * (part + 0.5) / parts;
      const auto value = static_cast<float>(std::pow(10.0, decade - 6) * middle);
      map[count++] = value;
      map[count++] = -value;
    }
  }
  std::sort(map.begin(), map.end());
  return map;
}

template <typename T>
void nf4_quantise_cpu(const T* source, const Nf4Weight& weight, const Workers& workers) {
  if (weight.values() == 0) return;
  std::vector<float> absmax(static_cast<size_t>(weight.blocks()));
  workers.run(weight.blocks(), [&](int64_t begin, int64_t end) {
    for (int64_t block = begin; block < end; ++block) {
      const int64_t first = block * kNf4Block;
      absmax[static_cast<size_t>(block)] = quantise_block(
          source + first, std::min(kNf4Block, weight.values() - first), weight.codes + first / 2);
    }
  });
  double sum = 0.0;
  for (const float value : absmax) sum += value;
  *weight.absmax_offset = static_cast<float>(sum / static_cast<double>(absmax.size()));
  workers.run(weight.absmax_blocks(), [&](int64_t begin, int64_t end) {
    for (int64_t block = begin; block < end; ++block) {
      const int64_t first = block * kNf4AbsmaxBlock;
      quantise_absmax(absmax.data() + first, std::min(kNf4AbsmaxBlock, weight.blocks() - first),
                      weight, first);
    }
  });
}

template void nf4_quantise_cpu(const float*, const Nf4Weight&, const Workers&);
template void nf4_quantise_cpu(const BFloat16*, const Nf4Weight&, const Workers&);

void nf4_dequantise_cpu(const Nf4Dequantise& call, const Workers& workers) {
  workers.run(call.weight.rows, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) dequantise_row(call, row);
  });
}

}  // namespace radgpt::kernels
