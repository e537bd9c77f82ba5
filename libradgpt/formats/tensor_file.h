#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "libradgpt/base/files.h"
#include "libradgpt/formats/data_type.h"

namespace radgpt {

struct TensorInfo {
  std::string name;
  DataType dtype = DataType::kF32;
  Shape shape;  ///< up to 8 dimensions; none is a scalar

  /// Of all elements, row-major without gaps.
  uint64_t bytes() const { return byte_count(dtype, shape).value_or(0); }
};

/// A file of named tensors, open for reading. Its description of the tensors is checked as a whole
/// when it is opened; nothing in it is ever run. All Errors are kInput and name the file and the
/// tensor. One thread at a time.
class TensorFile {
 public:
  virtual ~TensorFile() = default;
  TensorFile(const TensorFile&) = delete;
  TensorFile& operator=(const TensorFile&) = delete;

  const std::string& path() const { return path_; }
  /// In the order of the file.
  const std::vector<TensorInfo>& tensors() const { return tensors_; }
  /// What the file says of itself; nothing in one of torch.save.
  const std::map<std::string, std::string>& metadata() const { return metadata_; }
  /// Null if there is none of that name.
  const TensorInfo* find(const std::string& name) const;

  /// Fills `into` with the tensor's bytes [from, from + into.size()), little-endian, row-major.
  /// Reads with pread, never through a mapping: a file shortened meanwhile is an Error, no SIGBUS.
  void read(const TensorInfo& tensor, std::span<std::byte> into, uint64_t from = 0) const;

  /// Reads every BF16, F16, F32 and F64 tensor and throws at the first NaN or infinity.
  void require_finite() const;

 protected:
  explicit TensorFile(std::string path) : path_(std::move(path)) {}
  /// To be called once, by the constructor; names differ.
  void set_tensors(std::vector<TensorInfo> tensors,
                   std::map<std::string, std::string> metadata = {});

 private:
  /// As read, of tensors()[index]; the range is within it.
  virtual void read_range(size_t index, std::span<std::byte> into, uint64_t from) const = 0;

  std::string path_;
  std::vector<TensorInfo> tensors_;
  std::map<std::string, std::string> metadata_;
  std::unordered_map<std::string_view, size_t> by_name_;
};

/// Opens a file as its name says: NAME.safetensors, or NAME.bin of torch.save. The content must be
/// of that kind.
std::unique_ptr<TensorFile> open_tensor_file(const std::string& path);
/// Takes a file that is already open.
std::unique_ptr<TensorFile> open_tensor_file(InputFile file);

/// Throws unless a tensor's name has 1 to 512 bytes, none of them a control character. `where` is
/// for the message.
void check_tensor_name(const std::string& name, const std::string& where);

/// What a file is that people take for one of tensors, by its first 16 bytes or more, as the end of
/// a message: " (this is …)"; "" for others.
std::string_view describe_other_file(std::string_view begin);

}  // namespace radgpt
