#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "libradgpt/base/files.h"
#include "libradgpt/formats/data_type.h"

namespace radgpt {

struct TensorInfo {
  std::string name;
  DataType dtype = DataType::kF32;
  Shape shape;         ///< up to 8 dimensions; none is a scalar
  uint64_t begin = 0;  ///< bytes [begin, end) of the file's data section
  uint64_t end = 0;

  uint64_t bytes() const { return end - begin; }
};

/// A safetensors file open for reading (github.com/huggingface/safetensors, "Format"). The header
/// is checked as a whole when the file is opened: every number against every other and against the
/// file's size, names at most 512 bytes without control characters, at most 100,000 tensors, data
/// without overlap or hole. All Errors are kInput and name the file and the tensor.
class SafetensorsFile {
 public:
  explicit SafetensorsFile(const std::string& path);
  /// Takes a file that is already open.
  explicit SafetensorsFile(InputFile file);
  SafetensorsFile(const SafetensorsFile&) = delete;
  SafetensorsFile& operator=(const SafetensorsFile&) = delete;

  const std::string& path() const { return file_.path; }
  /// In the order of their bytes in the file.
  const std::vector<TensorInfo>& tensors() const { return tensors_; }
  /// Null if there is none of that name.
  const TensorInfo* find(const std::string& name) const;
  const std::map<std::string, std::string>& metadata() const { return metadata_; }

  /// Fills `into` with the tensor's bytes [from, from + into.size()), little-endian, row-major.
  /// Reads with pread, never through a mapping: a file shortened meanwhile is an Error, no SIGBUS.
  void read(const TensorInfo& tensor, std::span<std::byte> into, uint64_t from = 0) const;

  /// Reads every BF16, F16, F32 and F64 tensor and throws at the first NaN or infinity.
  void require_finite() const;

 private:
  InputFile file_;
  uint64_t data_begin_ = 0;
  std::vector<TensorInfo> tensors_;
  std::map<std::string, std::string> metadata_;
  std::unordered_map<std::string_view, const TensorInfo*> by_name_;
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
