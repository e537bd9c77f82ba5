#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "libradgpt/formats/safetensors.h"

namespace radgpt {

struct SafetensorsHeader {
  std::vector<TensorInfo> tensors;  ///< in the order of their bytes
  std::map<std::string, std::string> metadata;
};

/// Checks the JSON between a safetensors file's length field and its `data_bytes` bytes of data.
/// `file` is for messages.
SafetensorsHeader parse_safetensors_header(std::string_view text, uint64_t data_bytes,
                                           const std::string& file);

}  // namespace radgpt
