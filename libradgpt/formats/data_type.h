#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace radgpt {

/// The element types of stored weights, those of safetensors that this library uses.
enum class DataType { kBF16, kF16, kF32, kF64, kI8, kU8, kI32, kI64 };

/// The name in a safetensors header: "BF16", …
std::string_view name_of(DataType type);
std::optional<DataType> data_type_of(std::string_view name);
/// Bytes of one element.
int64_t size_of(DataType type);
/// BF16, F16 or F32: what weights of a model may be.
bool is_weight_type(DataType type);

/// The index of the first NaN or infinity among little-endian elements; integers have none.
std::optional<size_t> find_non_finite(DataType type, std::span<const std::byte> elements);

using Shape = std::vector<int64_t>;
/// Bytes of a tensor; nothing for a negative size or when a product on the way passes 2^63.
std::optional<uint64_t> byte_count(DataType type, const Shape& shape);
/// "[125696, 4096]"
std::string to_text(const Shape& shape);

}  // namespace radgpt
