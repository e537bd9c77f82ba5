#include "libradgpt/formats/data_type.h"

#include <array>
#include <cstring>

#include "libradgpt/base/error.h"

namespace radgpt {
namespace {

struct DataTypeRow {
  std::string_view name;
  int64_t size;
};

/// In the order of DataType.
constexpr std::array<DataTypeRow, 8> kRows{{{"BF16", 2},
                                            {"F16", 2},
                                            {"F32", 4},
                                            {"F64", 8},
                                            {"I8", 1},
                                            {"U8", 1},
                                            {"I32", 4},
                                            {"I64", 8}}};

const DataTypeRow& row_of(DataType type) { return kRows[static_cast<size_t>(type)]; }

/// A floating-point number is NaN or infinite when all bits of its exponent are set.
template <typename Bits>
std::optional<size_t> find_full_exponent(Bits exponent, std::span<const std::byte> elements) {
  for (size_t i = 0; i < elements.size() / sizeof(Bits); ++i) {
    Bits bits;
    std::memcpy(&bits, elements.data() + i * sizeof(Bits), sizeof(Bits));
    if ((bits & exponent) == exponent) return i;
  }
  return std::nullopt;
}

}  // namespace

std::string_view name_of(DataType type) { return row_of(type).name; }

std::optional<DataType> data_type_of(std::string_view name) {
  for (size_t i = 0; i < kRows.size(); ++i) {
    if (kRows[i].name == name) return static_cast<DataType>(i);
  }
  return std::nullopt;
}

int64_t size_of(DataType type) { return row_of(type).size; }

bool is_weight_type(DataType type) {
  return type == DataType::kBF16 || type == DataType::kF16 || type == DataType::kF32;
}

std::optional<size_t> find_non_finite(DataType type, std::span<const std::byte> elements) {
  switch (type) {
    case DataType::kBF16:
      return find_full_exponent<uint16_t>(0x7F80, elements);
    case DataType::kF16:
      return find_full_exponent<uint16_t>(0x7C00, elements);
    case DataType::kF32:
      return find_full_exponent<uint32_t>(0x7F800000, elements);
    case DataType::kF64:
      return find_full_exponent<uint64_t>(0x7FF0000000000000, elements);
    default:
      return std::nullopt;
  }
}

std::optional<uint64_t> byte_count(DataType type, const Shape& shape) {
  int64_t bytes = size_of(type);
  for (const int64_t size : shape) {
    if (size < 0 || __builtin_mul_overflow(bytes, size, &bytes)) return std::nullopt;
  }
  return static_cast<uint64_t>(bytes);
}

std::string to_text(const Shape& shape) {
  std::string text = "[";
  for (const int64_t size : shape) {
    if (text.size() > 1) text += ", ";
    text += std::to_string(size);
  }
  return text + "]";
}

}  // namespace radgpt
