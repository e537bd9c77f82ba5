#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "libradgpt/base/files.h"
#include "libradgpt/formats/data_type.h"
#include "libradgpt/formats/tensor_encoding.h"

namespace radgpt {

/// A value of GGUF's metadata. Arrays have elements of one type.
using GgufValue = std::variant<bool, uint32_t, float, std::string, std::vector<std::string>,
                               std::vector<float>, std::vector<int32_t>>;

/// In the order of the file; keys as the runtime wants them ("general.architecture", …).
using GgufMetadata = std::vector<std::pair<std::string, GgufValue>>;

/// A tensor that is to be written, without its bytes.
struct GgufTensor {
  std::string name;
  TensorEncoding encoding = TensorEncoding::kFp32;
  Shape shape;  ///< rows first, as everywhere here; the file lists the sizes in reverse
};

/// Writes a GGUF file of version 3 (github.com/ggml-org/ggml, docs/gguf.md), little-endian: header,
/// metadata, what each tensor is, then the tensors, each at a multiple of 32 bytes. The tensors are
/// streamed in the given order, so a model larger than memory can be written; the file appears
/// whole at `finish` (AtomicFile). Throws Error(kInput) for a name above 63 bytes or one twice, a
/// tensor of no or more than 4 dimensions or of no elements, and columns that are no whole blocks
/// of the encoding.
class GgufWriter {
 public:
  GgufWriter(const std::string& path, const GgufMetadata& metadata,
             const std::vector<GgufTensor>& tensors);

  /// The next bytes of the tensor at hand, never beyond its end.
  void write(std::span<const std::byte> bytes);
  /// Throws if a byte is missing.
  void finish();

 private:
  void pad_to_alignment();

  AtomicFile file_;
  std::string path_;
  std::vector<uint64_t> tensor_bytes_;
  size_t tensor_ = 0;     ///< at hand
  uint64_t written_ = 0;  ///< bytes of it
};

}  // namespace radgpt
