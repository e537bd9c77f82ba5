#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "kernels/primitives/bfloat16.h"
#include "kernels/primitives/rounding.h"
#include "kernels/primitives/stream.h"
#include "kernels/primitives/workers.h"

namespace radgpt::kernels {

inline constexpr int64_t kNf4Block = 64;         ///< values that share a largest magnitude
inline constexpr int64_t kNf4AbsmaxBlock = 256;  ///< largest magnitudes that share a scale

/// The sixteen values of NormalFloat4 (Dettmers et al., "QLoRA", arXiv 2305.14314), ascending.
constexpr float nf4_value(int code) {
  constexpr float kValues[16] = {-1.0f,
                                 -0.6961928009986877f,
                                 -0.5250730514526367f,
                                 -0.39491748809814453f,
                                 -0.28444138169288635f,
                                 -0.18477343022823334f,
                                 -0.09105003625154495f,
                                 0.0f,
                                 0.07958029955625534f,
                                 0.16093020141124725f,
                                 0.24611230194568634f,
                                 0.33791524171829224f,
                                 0.44070982933044434f,
                                 0.5626170039176941f,
                                 0.7229568362236023f,
                                 1.0f};
  return kValues[code];
}

/// A weight in four bits a value, as bitsandbytes stores it. Of the flattened [rows, columns]
///
///   value i = nf4_value(code i) * absmax of block i / 64
///   absmax of block j = absmax_map[absmax_codes[j]] * absmax_scales[j / 256] + absmax_offset
///
/// rounded once. 4.13 bits a value. Values must be finite.
struct Nf4Weight {
  int64_t rows = 0;
  int64_t columns = 0;
  uint8_t* codes =
      nullptr;  ///< [(rows * columns + 1) / 2], the first of two values in the high half
  uint8_t* absmax_codes = nullptr;    ///< [blocks]
  float* absmax_scales = nullptr;     ///< [(blocks + 255) / 256]
  float* absmax_offset = nullptr;     ///< [1], the mean of all absmax
  const float* absmax_map = nullptr;  ///< [256], nf4_absmax_map()

  constexpr int64_t values() const { return rows * columns; }
  constexpr int64_t blocks() const { return divide_up(values(), kNf4Block); }
  constexpr int64_t absmax_blocks() const { return divide_up(blocks(), kNf4AbsmaxBlock); }
};

/// bitsandbytes' signed dynamic 8-bit numbers, ascending: of each decade from 1e-6 to 1 the middles
/// of 1, 2, 4, ... 64 equal parts of its upper nine tenths, both signs, 0 and 1.
std::array<float, 256> nf4_absmax_map();

/// Fills `weight` from `source` [rows, columns], contiguous. For T float, BFloat16.
template <typename T>
void nf4_quantise_cpu(const T* source, const Nf4Weight& weight, const Workers& workers);

/// On device memory; enqueues on `stream` and does not wait. Columns are a multiple of 8 and all
/// arrays 16-byte aligned. Throws Error kInput otherwise, kEnvironment when the launch fails.
/// Bitwise repeatable. For T float, BFloat16.
template <typename T>
void nf4_quantise_cuda(const T* source, const Nf4Weight& weight, Workspace workspace,
                       Stream stream);
/// Bytes of workspace that nf4_quantise_cuda needs for a call.
size_t nf4_quantise_workspace(const Nf4Weight& weight);

/// The weight, with a border of low-rank columns behind it, for one product:
///
///   result[:, :columns]                   = weight
///   result[:, columns : columns + border] = border_values
struct Nf4Dequantise {
  Nf4Weight weight;
  BFloat16* result = nullptr;  ///< [rows, columns + border], row stride result_stride
  int64_t result_stride = 0;
  int64_t border = 0;
  const BFloat16* border_values = nullptr;  ///< [rows, border] scale * B, contiguous
};

/// In memory of the CPU; copies `border_values` behind each row.
void nf4_dequantise_cpu(const Nf4Dequantise& call, const Workers& workers);

/// As nf4_quantise_cuda; result_stride and border are multiples of 8 too. Reads each code and
/// writes each element once.
void nf4_dequantise_cuda(const Nf4Dequantise& call, Stream stream);

}  // namespace radgpt::kernels
