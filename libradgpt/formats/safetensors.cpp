#include "libradgpt/formats/safetensors.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <utility>

#include "libradgpt/base/error.h"
#include "libradgpt/formats/safetensors_header.h"

namespace radgpt {
namespace {

static_assert(std::endian::native == std::endian::little, "tensors are stored little-endian");

constexpr uint64_t kLengthBytes = 8;
constexpr uint64_t kLongestHeader = 100'000'000;
constexpr size_t kCheckedAtOnce = size_t{1} << 20;

/// What people take for a safetensors file, recognised by its first bytes.
const char* recognise(std::string_view begin) {
  if (begin.starts_with("PK\x03\x04") || begin.starts_with("\x80\x02")) {
    return " (this is a PyTorch file; convert it to safetensors)";
  }
  if (begin.starts_with("version ")) {
    return " (this is a git-lfs pointer; fetch the file itself)";
  }
  if (begin.starts_with("<")) return " (this is a web page; download the file itself)";
  return "";
}

uint64_t read_header_length(const InputFile& file) {
  require(file.size >= kLengthBytes, file.path,
          ": header: must begin with its length in 8 bytes, got a file of ", file.size, " bytes");
  char bytes[kLengthBytes];
  read_exactly(file, 0, bytes);
  uint64_t length = 0;
  std::memcpy(&length, bytes, sizeof length);
  const char* hint = recognise({bytes, sizeof bytes});
  require(length >= 2 && length <= kLongestHeader, file.path,
          ": header: must have a length in [2, ", kLongestHeader, "], got ", length, hint);
  require(length <= file.size - kLengthBytes, file.path, ": header: must fit into the file's ",
          file.size, " bytes, got a length of ", length, hint);
  return length;
}

}  // namespace

SafetensorsFile::SafetensorsFile(const std::string& path)
    : SafetensorsFile(open_regular_file(path)) {}

SafetensorsFile::SafetensorsFile(InputFile file) : file_(std::move(file)) {
  std::string text(read_header_length(file_), '\0');
  read_exactly(file_, kLengthBytes, text);
  data_begin_ = kLengthBytes + text.size();
  SafetensorsHeader header = parse_safetensors_header(text, file_.size - data_begin_, file_.path);
  tensors_ = std::move(header.tensors);
  metadata_ = std::move(header.metadata);
  for (const TensorInfo& tensor : tensors_) by_name_[tensor.name] = &tensor;
}

const TensorInfo* SafetensorsFile::find(const std::string& name) const {
  const auto found = by_name_.find(name);
  return found == by_name_.end() ? nullptr : found->second;
}

void SafetensorsFile::read(const TensorInfo& tensor, std::span<std::byte> into,
                           uint64_t from) const {
  require(from <= tensor.bytes() && into.size() <= tensor.bytes() - from, file_.path, ": ",
          tensor.name, ": has ", tensor.bytes(), " bytes, asked for ", into.size(), " from ", from);
  read_exactly(file_, data_begin_ + tensor.begin + from,
               {reinterpret_cast<char*>(into.data()), into.size()});
}

void SafetensorsFile::require_finite() const {
  std::vector<std::byte> buffer(kCheckedAtOnce);
  for (const TensorInfo& tensor : tensors_) {
    for (uint64_t from = 0; from < tensor.bytes(); from += kCheckedAtOnce) {
      const size_t count = std::min<uint64_t>(kCheckedAtOnce, tensor.bytes() - from);
      const std::span<std::byte> bytes = std::span(buffer).first(count);
      read(tensor, bytes, from);
      const auto fault = find_non_finite(tensor.dtype, bytes);
      require(!fault.has_value(), file_.path, ": ", tensor.name,
              ": must be finite, got NaN or infinity at element ",
              from / static_cast<uint64_t>(size_of(tensor.dtype)) + fault.value_or(0));
    }
  }
}

}  // namespace radgpt
