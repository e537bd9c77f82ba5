#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "libradgpt/formats/tensor_file.h"

namespace radgpt {

/// A safetensors file open for reading (github.com/huggingface/safetensors, "Format"). The header
/// is checked as a whole when the file is opened: every number against every other and against the
/// file's size, names at most 512 bytes without control characters, at most 100,000 tensors, data
/// without overlap or hole. Tensors are in the order of their bytes.
class SafetensorsFile : public TensorFile {
 public:
  explicit SafetensorsFile(const std::string& path);
  /// Takes a file that is already open.
  explicit SafetensorsFile(InputFile file);

 private:
  void read_range(size_t index, std::span<std::byte> into, uint64_t from) const override;

  InputFile file_;
  std::vector<uint64_t> begins_;  ///< of the tensors, in bytes from the file's start
};

/// What is to be written, without the bytes.
struct TensorSpec {
  std::string name;
  DataType dtype = DataType::kF32;
  Shape shape;
};

/// Writes a safetensors file piece by piece, so that a model larger than memory can be written.
/// The tensors keep the given order; the file appears whole at `finish` (AtomicFile).
class SafetensorsWriter {
 public:
  SafetensorsWriter(const std::string& path, const std::vector<TensorSpec>& tensors,
                    const std::map<std::string, std::string>& metadata = {});

  /// The next bytes of the data; tensors follow each other without gaps.
  void write(std::span<const std::byte> bytes);
  /// Throws if the number of bytes written is not that of all tensors.
  void finish();

 private:
  AtomicFile file_;
  std::string path_;
  uint64_t expected_ = 0;
  uint64_t written_ = 0;
};

struct TensorBytes {
  TensorSpec spec;
  std::span<const std::byte> bytes;
};

/// A SafetensorsWriter in one call.
void write_safetensors(const std::string& path, const std::vector<TensorBytes>& tensors,
                       const std::map<std::string, std::string>& metadata = {});

}  // namespace radgpt
