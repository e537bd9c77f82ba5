#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace radgpt {

/// How a protobuf field is stored (protobuf.dev, "Encoding"). Groups are not supported.
enum class WireType { kVarint = 0, kFixed64 = 1, kBytes = 2, kFixed32 = 5 };

struct ProtobufField {
  uint32_t number = 0;
  WireType type = WireType::kVarint;
  uint64_t value = 0;      ///< of a varint or a fixed-width field
  std::string_view bytes;  ///< of a kBytes field
  std::string_view whole;  ///< key and value as they stand in the message
};

/// Reads a message field by field, strictly: every length against what is left, varints of at most
/// 10 bytes and 64 bits, field numbers from 1. Throws Error(kInput) "WHERE: byte N: rule, got …".
class ProtobufReader {
 public:
  /// `message` and the views given out live as long as the caller's bytes. `where` opens messages.
  ProtobufReader(std::string_view message, std::string where);

  /// False at the end of the message.
  bool next(ProtobufField& field);

  /// Throws "WHERE: rule" for the field that `next` gave last unless it has this wire type.
  void expect(const ProtobufField& field, WireType type) const;

 private:
  uint64_t read_varint();
  uint64_t read_fixed(size_t width);
  void require_left(uint64_t count) const;

  std::string_view message_;
  std::string where_;
  size_t position_ = 0;
};

void append_varint(std::string& message, uint64_t value);
void append_bytes_field(std::string& message, uint32_t number, std::string_view bytes);

}  // namespace radgpt
