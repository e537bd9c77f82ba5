#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace radgpt {

/// The CRC-32 of zip (polynomial 0x04C11DB7, reflected), a byte at a time.
inline uint32_t plain_crc32(std::string_view bytes, uint32_t before = 0) {
  static const std::array<uint32_t, 256> table = [] {
    std::array<uint32_t, 256> made{};
    for (uint32_t i = 0; i < 256; ++i) {
      uint32_t sum = i;
      for (int bit = 0; bit < 8; ++bit) sum = (sum >> 1) ^ ((sum & 1) != 0 ? 0xEDB88320 : 0);
      made[i] = sum;
    }
    return made;
  }();
  uint32_t sum = ~before;
  for (const char byte : bytes) sum = (sum >> 8) ^ table[(sum ^ static_cast<uint8_t>(byte)) & 255];
  return ~sum;
}

/// Numbers as their little-endian bytes, one after the other.
template <typename... Numbers>
std::string little_endian(Numbers... numbers) {
  std::string bytes;
  const auto add = [&](auto number) {
    bytes.append(reinterpret_cast<const char*>(&number), sizeof number);
  };
  (add(numbers), ...);
  return bytes;
}

/// An entry of a zip, stored, with a data descriptor, as torch.save writes it. What is set besides
/// name and bytes is what the entry says of itself, right or wrong.
struct ZipPart {
  std::string name;
  std::string bytes;
  uint16_t flags = 0x0808;  ///< a descriptor follows; names are UTF-8
  uint16_t method = 0;
  bool is_zip64 = false;  ///< sizes and offset stand in the Zip64 field
  std::optional<uint32_t> crc32{};
  std::optional<uint64_t> size{};
  std::optional<uint64_t> offset{};
  std::string local_name{};  ///< if other than name
  std::string padding{};     ///< extra field of the local header
  std::string behind{};      ///< bytes between this entry and the next

  uint32_t sum() const { return crc32 ? *crc32 : plain_crc32(bytes); }
  bool has_descriptor() const { return (flags & 8) != 0; }
  uint64_t claimed_size() const { return size.value_or(bytes.size()); }
};

inline std::string zip64_field(const ZipPart& part, uint64_t offset) {
  if (!part.is_zip64) return "";
  return little_endian(uint16_t{1}, uint16_t{24}, part.claimed_size(), part.claimed_size(), offset);
}

/// What stands before an entry's bytes. Sizes and CRC-32 follow behind them if the flags say so.
inline std::string zip_local_header(const ZipPart& part, uint64_t offset) {
  const std::string& name = part.local_name.empty() ? part.name : part.local_name;
  const std::string extra = zip64_field(part, offset) + part.padding;
  const auto size = static_cast<uint32_t>(part.has_descriptor() ? 0 : part.claimed_size());
  return little_endian(uint32_t{0x04034B50}, uint16_t{0}, part.flags, part.method, uint32_t{0},
                       part.has_descriptor() ? uint32_t{0} : part.sum(), size, size,
                       static_cast<uint16_t>(name.size()), static_cast<uint16_t>(extra.size())) +
         name + extra;
}

inline std::string zip_descriptor(const ZipPart& part) {
  if (!part.has_descriptor()) return "";
  const std::string begin = little_endian(uint32_t{0x08074B50}, part.sum());
  const uint64_t size = part.claimed_size();
  if (part.is_zip64) return begin + little_endian(size, size);
  return begin + little_endian(static_cast<uint32_t>(size), static_cast<uint32_t>(size));
}

inline std::string zip_central_header(const ZipPart& part, uint64_t offset) {
  offset = part.offset.value_or(offset);
  const std::string extra = zip64_field(part, offset);
  const auto size = static_cast<uint32_t>(part.is_zip64 ? 0xFFFFFFFF : part.claimed_size());
  const auto place = static_cast<uint32_t>(part.is_zip64 ? 0xFFFFFFFF : offset);
  return little_endian(uint32_t{0x02014B50}, uint16_t{0}, uint16_t{0}, part.flags, part.method,
                       uint32_t{0}, part.sum(), size, size, static_cast<uint16_t>(part.name.size()),
                       static_cast<uint16_t>(extra.size()), uint16_t{0}, uint16_t{0}, uint16_t{0},
                       uint32_t{0}, place) +
         part.name + extra;
}

/// The ends of a directory of `size` bytes at `offset`, with the Zip64 one that torch.save always
/// writes.
inline std::string zip_end(uint64_t entries, uint64_t size, uint64_t offset) {
  const uint64_t behind = offset + size;
  const auto short_form = [](uint64_t number) {
    return static_cast<uint32_t>(number < 0xFFFFFFFF ? number : 0xFFFFFFFF);
  };
  const auto count = static_cast<uint16_t>(entries < 0xFFFF ? entries : 0xFFFF);
  return little_endian(uint32_t{0x06064B50}, uint64_t{44}, uint16_t{798}, uint16_t{45}, uint32_t{0},
                       uint32_t{0}, entries, entries, size, offset) +
         little_endian(uint32_t{0x07064B50}, uint32_t{0}, behind, uint32_t{1}) +
         little_endian(uint32_t{0x06054B50}, uint16_t{0}, uint16_t{0}, count, count,
                       short_form(size), short_form(offset), uint16_t{0});
}

/// A whole zip by hand.
inline std::string zip_bytes(const std::vector<ZipPart>& parts) {
  std::string bytes;
  std::string directory;
  for (const ZipPart& part : parts) {
    directory += zip_central_header(part, bytes.size());
    bytes += zip_local_header(part, bytes.size()) + part.bytes + zip_descriptor(part) + part.behind;
  }
  return bytes + directory + zip_end(parts.size(), directory.size(), bytes.size());
}

}  // namespace radgpt
