#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "tests/formats/zip_bytes.h"

namespace radgpt {

// Pickles of protocol 2 by hand, a function an opcode.

inline const std::string kPickleStart = "\x80\x02";

inline std::string string_op(const std::string& text) {
  return "X" + little_endian(static_cast<uint32_t>(text.size())) + text;
}

inline std::string integer_op(int64_t number) {
  if (number >= 0 && number < 256) return "K" + little_endian(static_cast<uint8_t>(number));
  if (number >= INT32_MIN && number <= INT32_MAX) {
    return "J" + little_endian(static_cast<int32_t>(number));
  }
  return "\x8A\x08" + little_endian(number);
}

inline std::string global_op(const std::string& module, const std::string& name) {
  return "c" + module + "\n" + name + "\n";
}

/// MARK, the parts, TUPLE.
inline std::string tuple_op(const std::string& parts) { return "(" + parts + "t"; }

inline std::string shape_op(const std::vector<int64_t>& numbers) {
  std::string parts;
  for (const int64_t number : numbers) parts += integer_op(number);
  return tuple_op(parts);
}

inline const std::string kOrderedDictOp = global_op("collections", "OrderedDict") + ")R";

/// A storage as torch.save names it: `type` is "FloatStorage" and the like.
inline std::string storage_op(const std::string& type, const std::string& key, int64_t elements,
                              const std::string& device = "cpu") {
  return tuple_op(string_op("storage") + global_op("torch", type) + string_op(key) +
                  string_op(device) + integer_op(elements)) +
         "Q";
}

/// A call of _rebuild_tensor_v2: a view of a storage.
inline std::string tensor_op(const std::string& storage, int64_t offset,
                             const std::vector<int64_t>& shape,
                             const std::vector<int64_t>& strides) {
  return global_op("torch._utils", "_rebuild_tensor_v2") +
         tuple_op(storage + integer_op(offset) + shape_op(shape) + shape_op(strides) + "\x89" +
                  kOrderedDictOp) +
         "R";
}

/// A tensor that is the whole storage `key`.
inline std::string float_tensor_op(const std::string& key, const std::vector<int64_t>& shape) {
  std::vector<int64_t> strides(shape.size(), 1);
  for (size_t i = shape.size(); i-- > 1;) strides[i - 1] = strides[i] * shape[i];
  const int64_t elements = shape.empty() ? 1 : strides[0] * shape[0];
  return tensor_op(storage_op("FloatStorage", key, elements), 0, shape, strides);
}

/// A whole pickle: a dict of names and what is given for them.
inline std::string dict_pickle(const std::vector<std::pair<std::string, std::string>>& entries) {
  std::string items;
  for (const auto& [name, value] : entries) items += string_op(name) + value;
  return kPickleStart + "}(" + items + "u.";
}

/// The parts of a file of torch.save: records are the storages 0, 1, ….
inline std::vector<ZipPart> pytorch_parts(const std::string& pickle,
                                          const std::vector<std::string>& records) {
  std::vector<ZipPart> parts{{.name = "archive/data.pkl", .bytes = pickle},
                             {.name = "archive/byteorder", .bytes = "little"}};
  for (size_t i = 0; i < records.size(); ++i) {
    parts.push_back({.name = "archive/data/" + std::to_string(i), .bytes = records[i]});
  }
  parts.push_back({.name = "archive/version", .bytes = "3\n"});
  return parts;
}

inline std::string pytorch_bytes(const std::string& pickle,
                                 const std::vector<std::string>& records) {
  return zip_bytes(pytorch_parts(pickle, records));
}

}  // namespace radgpt
