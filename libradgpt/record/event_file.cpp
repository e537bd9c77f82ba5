#include "libradgpt/record/event_file.h"

#include <bit>
#include <cstring>

#include "libradgpt/base/error.h"
#include "libradgpt/base/hash.h"

namespace radgpt {

namespace {

// Protocol buffers, by hand: a field is its key (number << 3 | wire type) and its value.
enum class WireType : uint8_t { kVarint = 0, kFixed64 = 1, kBytes = 2, kFixed32 = 5 };

void put_varint(std::string& out, uint64_t value) {
  while (value >= 0x80) {
    out += static_cast<char>(value | 0x80);
    value >>= 7;
  }
  out += static_cast<char>(value);
}

void put_key(std::string& out, int number, WireType type) {
  put_varint(out, static_cast<uint64_t>(number) << 3 | static_cast<uint64_t>(type));
}

template <typename Value>
void put_little_endian(std::string& out, Value value) {
  static_assert(std::endian::native == std::endian::little);
  char bytes[sizeof value];
  std::memcpy(bytes, &value, sizeof value);
  out.append(bytes, sizeof value);
}

void put_bytes(std::string& out, int number, const std::string& bytes) {
  put_key(out, number, WireType::kBytes);
  put_varint(out, bytes.size());
  out += bytes;
}

std::string event_at(double seconds) {
  std::string event;
  put_key(event, 1, WireType::kFixed64);  // Event.wall_time
  put_little_endian(event, seconds);
  return event;
}

uint32_t masked_crc(const std::string& bytes) {
  const uint32_t crc = crc32c(bytes);
  return ((crc >> 15) | (crc << 17)) + 0xa282ead8u;  // TFRecord's mask
}

}  // namespace

EventFile::EventFile(const std::string& folder, double seconds)
    : path_(concat(folder, "/events.out.tfevents.", static_cast<int64_t>(seconds), ".radgpt")),
      file_(path_, std::ios::binary | std::ios::app) {
  std::string event = event_at(seconds);
  put_bytes(event, 3, "brain.Event:2");  // Event.file_version
  write_record(event);
}

void EventFile::add_scalar(const std::string& tag, int64_t step, double value, double seconds) {
  std::string scalar;
  put_bytes(scalar, 1, tag);               // Value.tag
  put_key(scalar, 2, WireType::kFixed32);  // Value.simple_value
  put_little_endian(scalar, static_cast<float>(value));
  std::string summary;
  put_bytes(summary, 1, scalar);  // Summary.value
  std::string event = event_at(seconds);
  put_key(event, 2, WireType::kVarint);  // Event.step
  put_varint(event, static_cast<uint64_t>(step));
  put_bytes(event, 5, summary);  // Event.summary
  write_record(event);
}

void EventFile::write_record(const std::string& event) {
  std::string length;
  put_little_endian(length, static_cast<uint64_t>(event.size()));
  std::string record = length;
  put_little_endian(record, masked_crc(length));
  record += event;
  put_little_endian(record, masked_crc(event));
  file_.write(record.data(), static_cast<std::streamsize>(record.size()));
  file_.flush();
  if (!file_) fail(ErrorKind::kEnvironment, path_, ": cannot be written");
}

}  // namespace radgpt
