#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

#include "kernels/adamw/adamw.h"
#include "kernels/nf4/nf4.h"

namespace radgpt::kernels {

// What checks the kernels that know one type only: their headers' formulas in double precision.
// They share no code with the kernels.

/// Of one contiguous tensor that decays.
inline void adamw_plain(const AdamW& call) {
  const TrainedTensor& tensor = call.tensors.tensors[0];
  auto* const copy = static_cast<BFloat16*>(tensor.copy);
  for (int64_t i = 0; i < tensor.rows * tensor.columns; ++i) {
    const double g = static_cast<double>(call.gradient[i]) * call.gradient_scale;
    const double beta1 = call.beta1, beta2 = call.beta2;
    const double first = beta1 * call.first_moment[i] + (1 - beta1) * g;
    const double second = beta2 * call.second_moment[i] + (1 - beta2) * g * g;
    const double deviation = std::sqrt(second * call.second_correction) + call.epsilon;
    const double master =
        static_cast<double>(call.master[i]) * call.keep - call.rate * first / deviation;
    call.first_moment[i] = static_cast<float>(first);
    call.second_moment[i] = static_cast<float>(second);
    call.master[i] = static_cast<float>(master);
    copy[i] = BFloat16(static_cast<float>(tensor.scale * master));
  }
}

inline double norm_plain(const float* values, int64_t count) {
  double sum = 0;
  for (int64_t i = 0; i < count; ++i) sum += static_cast<double>(values[i]) * values[i];
  return std::sqrt(sum);
}

/// The first of `count` ascending values that is nearest to x.
template <typename Value>
int nearest_plain(int count, double x, const Value& value) {
  int nearest = 0;
  for (int code = 1; code < count; ++code) {
    if (std::abs(x - value(code)) < std::abs(x - value(nearest))) nearest = code;
  }
  return nearest;
}

template <typename T>
void nf4_quantise_plain(const T* source, const Nf4Weight& weight) {
  std::vector<double> absmax(weight.blocks(), 0.0);
  double sum = 0;
  for (int64_t i = 0; i < weight.values(); ++i) {
    double& largest = absmax[i / kNf4Block];
    largest = std::max(largest, std::abs(static_cast<double>(source[i])));
  }
  for (const double value : absmax) sum += value;
  const double offset = sum / static_cast<double>(absmax.size());
  *weight.absmax_offset = static_cast<float>(offset);
  for (int64_t i = 0; i < weight.values(); ++i) {
    const int code = nearest_plain(16, static_cast<double>(source[i]) / absmax[i / kNf4Block],
                                   [](int at) { return nf4_value(at); });
    uint8_t& two = weight.codes[i / 2];
    two = static_cast<uint8_t>(i % 2 == 0 ? code << 4 : two | code);
  }
  for (int64_t first = 0; first < weight.blocks(); first += kNf4AbsmaxBlock) {
    const int64_t end = std::min(first + kNf4AbsmaxBlock, weight.blocks());
    double largest = 0;
    for (int64_t j = first; j < end; ++j) largest = std::max(largest, std::abs(absmax[j] - offset));
    weight.absmax_scales[first / kNf4AbsmaxBlock] = static_cast<float>(largest);
    for (int64_t j = first; j < end; ++j) {
      weight.absmax_codes[j] = static_cast<uint8_t>(nearest_plain(
          256, (absmax[j] - offset) / largest, [&](int at) { return weight.absmax_map[at]; }));
    }
  }
}

inline void nf4_dequantise_plain(const Nf4Dequantise& call) {
  const Nf4Weight& weight = call.weight;
  for (int64_t i = 0; i < weight.values(); ++i) {
    const int64_t block = i / kNf4Block, row = i / weight.columns, column = i % weight.columns;
    const double absmax = static_cast<double>(weight.absmax_map[weight.absmax_codes[block]]) *
                              weight.absmax_scales[block / kNf4AbsmaxBlock] +
                          *weight.absmax_offset;
    const int code = i % 2 == 0 ? weight.codes[i / 2] / 16 : weight.codes[i / 2] % 16;
    call.result[row * call.result_stride + column] =
        BFloat16(static_cast<float>(nf4_value(code) * absmax));
  }
  for (int64_t i = 0; i < weight.rows * call.border; ++i) {
    const int64_t row = i / call.border, column = i % call.border;
    call.result[row * call.result_stride + weight.columns + column] = call.border_values[i];
  }
}

}  // namespace radgpt::kernels
