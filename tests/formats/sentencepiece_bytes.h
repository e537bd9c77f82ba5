#pragma once

#include <cstring>
#include <string>

namespace radgpt {

// Protobuf by hand, for lengths and numbers below 128 or as stated, independent of the reader's own
// writer.

inline std::string varint(uint64_t value) {
  std::string bytes;
  do {
    const uint64_t rest = value >> 7;
    bytes += static_cast<char>((value & 127) | (rest != 0 ? 128 : 0));
    value = rest;
  } while (value != 0);
  return bytes;
}

inline std::string key(uint64_t field, uint64_t wire_type) { return varint(field * 8 + wire_type); }

inline std::string number_field(uint64_t field, uint64_t value) {
  return key(field, 0) + varint(value);
}

inline std::string bytes_field(uint64_t field, const std::string& bytes) {
  return key(field, 2) + varint(bytes.size()) + bytes;
}

inline std::string float_field(uint64_t field, float value) {
  std::string bytes(sizeof value, '\0');
  std::memcpy(bytes.data(), &value, sizeof value);
  return key(field, 5) + bytes;
}

/// A piece of a ModelProto; type 1 is NORMAL, 2 UNKNOWN, 3 CONTROL, 6 BYTE.
inline std::string piece(const std::string& text, uint64_t type, float score = 0) {
  return bytes_field(1, bytes_field(1, text) + float_field(2, score) + number_field(3, type));
}

/// The trainer's settings: model type (2 is BPE), then whatever fields follow.
inline std::string trainer(uint64_t model_type, const std::string& fields = "") {
  return bytes_field(2, number_field(3, model_type) + fields);
}

inline std::string normalizer(const std::string& fields) { return bytes_field(3, fields); }

}  // namespace radgpt
