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

namespace radgpt {

enum class DataType { kBF16, kF16, kF32, kF64, kI8, kU8, kI32, kI64 };

/// The name in a safetensors header: "BF16", …
std::string_view name_of(DataType type);
/// Bytes of one element.
int64_t size_of(DataType type);

using Shape = std::vector<int64_t>;
/// "[125696, 4096]"
std::string to_text(const Shape& shape);

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
  void read_header();

  InputFile file_;
  uint64_t data_begin_ = 0;
  std::vector<TensorInfo> tensors_;
  std::unordered_map<std::string, size_t> index_;
  std::map<std::string, std::string> metadata_;
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
