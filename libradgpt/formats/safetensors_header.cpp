#include "libradgpt/formats/safetensors_header.h"

#include <algorithm>
#include <limits>
#include <tuple>
#include <utility>

#include "libradgpt/base/error.h"
#include "libradgpt/formats/json.h"
#include "libradgpt/formats/json_description.h"

namespace radgpt {
namespace {

using nlohmann::json;

constexpr size_t kMostTensors = 100'000;
constexpr size_t kHighestRank = 8;
constexpr int64_t kLargest = std::numeric_limits<int64_t>::max();
/// The header's object, a tensor's object, its arrays; a tensor has up to 15 values.
constexpr JsonLimits kLimits{3, 15 * kMostTensors};

std::map<std::string, std::string> parse_metadata(const json& value, const std::string& file) {
  require(value.is_object(), file, ": __metadata__: must be an object of strings, got ",
          describe_json(value));
  std::map<std::string, std::string> metadata;
  for (const auto& [key, text] : value.items()) {
    require(text.is_string(), file, ": __metadata__: every value must be a string, got ",
            describe_json(text));
    metadata[key] = text.get<std::string>();
  }
  return metadata;
}

/// The non-negative integers of an array.
std::vector<int64_t> integers_of(const JsonObject& entry, const std::string& key) {
  std::vector<int64_t> numbers;
  for (const json& value : entry.array(key)) {
    const bool fits = value.is_number_unsigned() && value.get<uint64_t>() <= uint64_t{kLargest};
    if (!fits) entry.refuse(key, "an array of integers in [0, 2^63)");
    numbers.push_back(value.get<int64_t>());
  }
  return numbers;
}

TensorExtent parse_tensor(const JsonObject& entry, const std::string& name, uint64_t data_bytes) {
  const std::string place = entry.where() + ": " + name;
  TensorExtent tensor;
  tensor.info.name = name;
  const auto dtype = data_type_of(entry.text("dtype"));
  require(dtype.has_value(), place,
          ".dtype: must be BF16, F16, F32, F64, I8, U8, I32 or I64, got another type");
  tensor.info.dtype = *dtype;
  tensor.info.shape = integers_of(entry, "shape");
  require(tensor.info.shape.size() <= kHighestRank, place, ".shape: must have at most ",
          kHighestRank, " dimensions, got ", tensor.info.shape.size());
  const std::vector<int64_t> offsets = integers_of(entry, "data_offsets");
  require(offsets.size() == 2, place, ".data_offsets: must be two integers, got ", offsets.size());
  tensor.begin = static_cast<uint64_t>(offsets[0]);
  tensor.end = static_cast<uint64_t>(offsets[1]);
  require(tensor.begin <= tensor.end, place, ".data_offsets: must not end before they begin, got ",
          to_text(offsets));
  require(tensor.end <= data_bytes, place, ".data_offsets: must end within the ", data_bytes,
          " data bytes of the file, got ", tensor.end, " (is the file cut short?)");
  const auto expected = byte_count(tensor.info.dtype, tensor.info.shape);
  require(expected.has_value(), place, ".shape: must describe fewer than 2^63 bytes, got ",
          to_text(tensor.info.shape));
  require(tensor.end - tensor.begin == *expected, place, ".data_offsets: must span ", *expected,
          " bytes for ", name_of(tensor.info.dtype), " ", to_text(tensor.info.shape), ", got ",
          tensor.end - tensor.begin);
  return tensor;
}

/// Tensors must follow each other and fill the data: an overlap would let a small file describe
/// huge weights, a hole could hide another file.
void check_layout(const std::vector<TensorExtent>& tensors, uint64_t data_bytes,
                  const std::string& file) {
  uint64_t expected = 0;
  for (const TensorExtent& tensor : tensors) {
    require(tensor.begin == expected, file, ": ", tensor.info.name, ".data_offsets: must begin at ",
            expected, ", where the tensor before it ends, got ", tensor.begin);
    expected = tensor.end;
  }
  require(expected == data_bytes, file, ": data: must end with the last tensor at byte ", expected,
          ", got ", data_bytes, " data bytes");
}

}  // namespace

SafetensorsHeader parse_safetensors_header(std::string_view text, uint64_t data_bytes,
                                           const std::string& file) {
  require(text.starts_with('{'), file, ": header: must start with '{'");
  const size_t closing = text.find_last_not_of(' ');
  require(text[closing] == '}', file, ": header: must end with '}' and spaces only");
  const json root = parse_json(text, {file + ": header"}, kLimits);
  SafetensorsHeader header;
  const JsonObject entries(root, file);
  for (const auto& [name, value] : root.items()) {
    if (name == "__metadata__") {
      header.metadata = parse_metadata(value, file);
      continue;
    }
    require(header.tensors.size() < kMostTensors, file, ": header: must list at most ",
            kMostTensors, " tensors, got more");
    check_tensor_name(name, file + ": header");
    const JsonObject entry = entries.object(name);
    header.tensors.push_back(parse_tensor(entry, name, data_bytes));
    require(value.size() == 3, file, ": ", name, ": must have dtype, shape and data_offsets, got ",
            value.size(), " keys");
  }
  std::stable_sort(header.tensors.begin(), header.tensors.end(),
                   [](const TensorExtent& a, const TensorExtent& b) {
                     return std::tie(a.begin, a.end) < std::tie(b.begin, b.end);
                   });
  check_layout(header.tensors, data_bytes, file);
  return header;
}

}  // namespace radgpt
