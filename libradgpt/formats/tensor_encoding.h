#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace radgpt {

/// How the numbers of a tensor are stored. kQ8_0 is ggml's block format (ggml-quants.c,
/// quantize_row_q8_0_ref): 32 numbers x as an fp16 step d = max|x| / 127 and 32 signed bytes
/// x / d, rounded half away from zero; a block takes 34 bytes.
enum class TensorEncoding { kFp32, kFp16, kBf16, kQ8_0 };

/// "fp32", "fp16", "bf16", "q8_0".
std::string_view name_of(TensorEncoding encoding);

/// 32 for kQ8_0, whose rows must be multiples of it; else 1.
int64_t block_size(TensorEncoding encoding);

/// Bytes of so many numbers, a multiple of the block size.
int64_t encoded_bytes(TensorEncoding encoding, int64_t numbers);

/// Writes numbers into exactly encoded_bytes, little-endian; to 16 bits they round to nearest, ties
/// to even. Throws Error(kInput) "WHERE: must be finite …" for NaN, an infinity, or a number beyond
/// the encoding's range (fp16: 65504; q8_0: 127 times that).
void encode_tensor(TensorEncoding encoding, std::span<const float> numbers,
                   std::span<std::byte> into, const std::string& where);

}  // namespace radgpt
