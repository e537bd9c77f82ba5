#include "libradgpt/formats/protobuf.h"

#include <cstring>
#include <utility>

#include "libradgpt/base/error.h"

namespace radgpt {

ProtobufReader::ProtobufReader(std::string_view message, std::string where)
    : message_(message), where_(std::move(where)) {}

bool ProtobufReader::next(ProtobufField& field) {
  if (position_ == message_.size()) return false;
  const size_t begin = position_;
  const uint64_t key = read_varint();
  const uint64_t number = key >> 3;
  const uint64_t type = key & 7;
  require(number >= 1 && number < (uint64_t{1} << 29), where_, ": byte ", begin,
          ": a field number must be in [1, 2^29), got ", number);
  require(type <= 2 || type == 5, where_, ": byte ", begin,
          ": a field must be a varint, fixed or of bytes, got wire type ", type);
  field = {static_cast<uint32_t>(number), static_cast<WireType>(type), 0, {}, {}};
  switch (field.type) {
    case WireType::kVarint:
      field.value = read_varint();
      break;
    case WireType::kFixed64:
      field.value = read_fixed(8);
      break;
    case WireType::kFixed32:
      field.value = read_fixed(4);
      break;
    case WireType::kBytes: {
      const uint64_t length = read_varint();
      require_left(length);
      field.bytes = message_.substr(position_, length);
      position_ += length;
    }
  }
  field.whole = message_.substr(begin, position_ - begin);
  return true;
}

void ProtobufReader::expect(const ProtobufField& field, WireType type) const {
  require(field.type == type, where_, ": field ", field.number, ": must have wire type ",
          static_cast<int>(type), ", got ", static_cast<int>(field.type));
}

uint64_t ProtobufReader::read_varint() {
  const size_t begin = position_;
  uint64_t value = 0;
  for (int shift = 0; shift < 70; shift += 7) {
    require_left(1);
    const auto byte = static_cast<uint8_t>(message_[position_++]);
    require(shift < 63 || byte <= 1, where_, ": byte ", begin,
            ": a number must have at most 64 bits, got more");
    value |= uint64_t{byte & 0x7Fu} << shift;
    if (byte < 0x80) return value;
  }
  fail(ErrorKind::kInput, where_, ": byte ", begin, ": a number must have at most 64 bits");
}

uint64_t ProtobufReader::read_fixed(size_t width) {
  require_left(width);
  uint64_t value = 0;
  std::memcpy(&value, message_.data() + position_, width);  // little-endian, as the machine
  position_ += width;
  return value;
}

void ProtobufReader::require_left(uint64_t count) const {
  const size_t left = message_.size() - position_;
  require(count <= left, where_, ": byte ", position_, ": must be followed by ", count,
          " bytes, got ", left);
}

void append_varint(std::string& message, uint64_t value) {
  for (; value >= 0x80; value >>= 7) message += static_cast<char>(value | 0x80);
  message += static_cast<char>(value);
}

void append_bytes_field(std::string& message, uint32_t number, std::string_view bytes) {
  append_varint(message, uint64_t{number} << 3 | static_cast<uint64_t>(WireType::kBytes));
  append_varint(message, bytes.size());
  message += bytes;
}

}  // namespace radgpt
