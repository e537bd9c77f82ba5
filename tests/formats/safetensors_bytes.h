#pragma once

#include <cstring>
#include <string>
#include <string_view>

namespace radgpt {

/// A safetensors file by hand: the header's length in 8 bytes, the header, the data.
inline std::string safetensors_bytes(std::string_view header, std::string_view data) {
  const uint64_t length = header.size();
  std::string bytes(sizeof length, '\0');
  std::memcpy(bytes.data(), &length, sizeof length);
  bytes += header;
  bytes += data;
  return bytes;
}

/// "NAME":{"dtype":"TYPE","shape":SHAPE,"data_offsets":OFFSETS}
inline std::string header_entry(const std::string& name, const std::string& type,
                                const std::string& shape, const std::string& offsets) {
  return "\"" + name + "\":{\"dtype\":\"" + type + "\",\"shape\":" + shape +
         ",\"data_offsets\":" + offsets + "}";
}

}  // namespace radgpt
