#include "libradgpt/formats/pickled_tensors.h"

#include <algorithm>
#include <limits>
#include <set>
#include <string_view>
#include <utility>

#include "libradgpt/base/error.h"
#include "libradgpt/formats/tensor_file.h"

namespace radgpt {
namespace {

constexpr size_t kMostTensors = 100'000;
constexpr size_t kHighestRank = 8;
constexpr size_t kLongestKey = 18;

bool is_empty_dict(const PickleValue& value) {
  const bool is_dict = value.kind == PickleKind::kDict || value.kind == PickleKind::kOrderedDict;
  return is_dict && value.items.empty();
}

/// Of any length that check_view has to name; a longer one, which a memo can give to every call of
/// a pickle, is not looked through.
bool is_tuple_of_integers(const std::vector<PickleValue>& values, const PickleValue& tuple) {
  return tuple.kind == PickleKind::kTuple && tuple.items.size() <= kHighestRank + 1 &&
         std::all_of(tuple.items.begin(), tuple.items.end(),
                     [&](uint32_t item) { return values[item].kind == PickleKind::kInteger; });
}

Shape numbers_of(const std::vector<PickleValue>& values, const PickleValue& tuple) {
  Shape numbers;
  for (const uint32_t item : tuple.items) numbers.push_back(values[item].number);
  return numbers;
}

/// Elements that a view reaches into its storage, from the storage's first; nothing when that
/// passes 2^63. Sizes are at least 1.
std::optional<int64_t> reach_of(const PickledTensor& tensor) {
  int64_t last = tensor.offset;
  for (size_t i = 0; i < tensor.shape.size(); ++i) {
    int64_t way = 0;
    if (__builtin_mul_overflow(tensor.shape[i] - 1, tensor.strides[i], &way) ||
        __builtin_add_overflow(last, way, &last)) {
      return std::nullopt;
    }
  }
  if (last == std::numeric_limits<int64_t>::max()) return std::nullopt;
  return last + 1;
}

void check_view(const PickledTensor& tensor, const std::string& place) {
  require(tensor.shape.size() <= kHighestRank, place, ": shape: must have at most ", kHighestRank,
          " dimensions, got ", tensor.shape.size());
  require(tensor.strides.size() == tensor.shape.size(), place, ": strides: must be ",
          tensor.shape.size(), " as the shape's, got ", tensor.strides.size());
  const auto is_negative = [](int64_t number) { return number < 0; };
  require(std::none_of(tensor.shape.begin(), tensor.shape.end(), is_negative), place,
          ": shape: must not be negative, got ", to_text(tensor.shape));
  require(std::none_of(tensor.strides.begin(), tensor.strides.end(), is_negative), place,
          ": strides: must not be negative, got ", to_text(tensor.strides));
  require(byte_count(tensor.dtype, tensor.shape).has_value(), place,
          ": shape: must describe fewer than 2^63 bytes, got ", to_text(tensor.shape));
  require(tensor.offset >= 0 && tensor.offset <= tensor.storage_elements, place,
          ": offset: must be within the storage's ", tensor.storage_elements, " elements, got ",
          tensor.offset);
  if (std::count(tensor.shape.begin(), tensor.shape.end(), 0) > 0) return;
  const std::optional<int64_t> reach = reach_of(tensor);
  require(reach.has_value() && *reach <= tensor.storage_elements, place,
          ": strides: must stay within the storage's ", tensor.storage_elements,
          " elements, got shape ", to_text(tensor.shape), ", strides ", to_text(tensor.strides),
          ", offset ", tensor.offset);
}

PickledTensor tensor_of(const std::vector<PickleValue>& values, const PickleValue& value,
                        const std::string& name, const std::string& place) {
  const PickleValue& storage = values[value.items[0]];
  const std::string_view key = values[storage.items[2]].text;
  PickledTensor tensor{.name = name,
                       .dtype = static_cast<DataType>(values[storage.items[1]].number),
                       .storage = std::string(key),
                       .storage_elements = values[storage.items[4]].number,
                       .offset = values[value.items[1]].number,
                       .shape = numbers_of(values, values[value.items[2]]),
                       .strides = numbers_of(values, values[value.items[3]])};
  const bool is_number =
      !key.empty() && key.size() <= kLongestKey &&
      std::all_of(key.begin(), key.end(), [](char c) { return c >= '0' && c <= '9'; });
  require(is_number, place, ": storage: must be named by a number, got a name of ", key.size(),
          " bytes");
  check_view(tensor, place);
  return tensor;
}

}  // namespace

std::string_view describe(PickleKind kind) {
  constexpr std::string_view kNames[] = {"None",
                                         "a bool",
                                         "an integer",
                                         "a string",
                                         "a tuple",
                                         "a dict",
                                         "an OrderedDict",
                                         "OrderedDict",
                                         "a storage's type",
                                         "_rebuild_tensor_v2",
                                         "_rebuild_parameter",
                                         "a storage",
                                         "a tensor"};
  return kNames[static_cast<size_t>(kind)];
}

std::optional<PickleValue> rebuild_tensor(const std::vector<PickleValue>& values,
                                          const std::vector<uint32_t>& arguments) {
  if (arguments.size() != 6 && arguments.size() != 7) return std::nullopt;
  const auto argument = [&](size_t i) -> const PickleValue& { return values[arguments[i]]; };
  const bool has_plain_metadata =
      arguments.size() == 6 || is_empty_dict(argument(6)) || argument(6).kind == PickleKind::kNone;
  const bool is_right =
      argument(0).kind == PickleKind::kStorage && argument(1).kind == PickleKind::kInteger &&
      is_tuple_of_integers(values, argument(2)) && is_tuple_of_integers(values, argument(3)) &&
      argument(4).kind == PickleKind::kBool && is_empty_dict(argument(5)) && has_plain_metadata;
  if (!is_right) return std::nullopt;
  return PickleValue{.kind = PickleKind::kTensor,
                     .items = {arguments.begin(), arguments.begin() + 4}};
}

std::optional<PickleValue> rebuild_parameter(const std::vector<PickleValue>& values,
                                             const std::vector<uint32_t>& arguments) {
  const bool is_right = arguments.size() == 3 && values[arguments[0]].kind == PickleKind::kTensor &&
                        values[arguments[1]].kind == PickleKind::kBool &&
                        is_empty_dict(values[arguments[2]]);
  if (!is_right) return std::nullopt;
  return values[arguments[0]];
}

std::vector<PickledTensor> pickled_tensors(const std::vector<PickleValue>& values, uint32_t result,
                                           const std::string& place) {
  const PickleValue& dict = values[result];
  require(dict.kind == PickleKind::kDict || dict.kind == PickleKind::kOrderedDict, place,
          ": must be a dict of tensors, got ", describe(dict.kind));
  require(dict.items.size() / 2 <= kMostTensors, place, ": must have at most ", kMostTensors,
          " tensors, got ", dict.items.size() / 2);
  std::vector<PickledTensor> tensors;
  std::set<std::string_view> names;
  for (size_t i = 0; i < dict.items.size(); i += 2) {
    const std::string name(values[dict.items[i]].text);
    check_tensor_name(name, place);
    const PickleValue& value = values[dict.items[i + 1]];
    const std::string tensor_place = place + ": " + name;
    require(names.insert(values[dict.items[i]].text).second, tensor_place, ": must be there once");
    require(value.kind == PickleKind::kTensor, tensor_place, ": must be a tensor, got ",
            describe(value.kind));
    tensors.push_back(tensor_of(values, value, name, tensor_place));
  }
  return tensors;
}

}  // namespace radgpt
