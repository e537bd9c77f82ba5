#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "libradgpt/formats/safetensors.h"

namespace radgpt {

/// A tensor at bytes [begin, end) of the data.
struct TensorExtent {
  TensorInfo info;
  uint64_t begin = 0;
  uint64_t end = 0;
};

struct SafetensorsHeader {
  std::vector<TensorExtent> tensors;  ///< in the order of their bytes
  std::map<std::string, std::string> metadata;
};

/// Checks the JSON between a safetensors file's length field and its `data_bytes` bytes of data.
/// `file` is for messages.
SafetensorsHeader parse_safetensors_header(std::string_view text, uint64_t data_bytes,
                                           const std::string& file);

}  // namespace radgpt
