#include "libradgpt/formats/safetensors.h"

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

uint64_t read_header_length(const InputFile& file) {
  require(file.size >= kLengthBytes, file.path,
          ": header: must begin with its length in 8 bytes, got a file of ", file.size, " bytes");
  char bytes[kLengthBytes];
  read_exactly(file, 0, bytes);
  uint64_t length = 0;
  std::memcpy(&length, bytes, sizeof length);
  const std::string_view hint = describe_other_file({bytes, sizeof bytes});
  require(length >= 2 && length <= kLongestHeader, file.path,
          ": header: must have a length in [2, ", kLongestHeader, "], got ", length, hint);
  require(length <= file.size - kLengthBytes, file.path, ": header: must fit into the file's ",
          file.size, " bytes, got a length of ", length, hint);
  return length;
}

}  // namespace

SafetensorsFile::SafetensorsFile(const std::string& path)
    : SafetensorsFile(open_regular_file(path)) {}

SafetensorsFile::SafetensorsFile(InputFile file) : TensorFile(file.path), file_(std::move(file)) {
  std::string text(read_header_length(file_), '\0');
  read_exactly(file_, kLengthBytes, text);
  const uint64_t data_begin = kLengthBytes + text.size();
  SafetensorsHeader header = parse_safetensors_header(text, file_.size - data_begin, path());
  std::vector<TensorInfo> tensors;
  for (TensorExtent& tensor : header.tensors) {
    begins_.push_back(data_begin + tensor.begin);
    tensors.push_back(std::move(tensor.info));
  }
  set_tensors(std::move(tensors), std::move(header.metadata));
}

void SafetensorsFile::read_range(size_t index, std::span<std::byte> into, uint64_t from) const {
  read_exactly(file_, begins_[index] + from, {reinterpret_cast<char*>(into.data()), into.size()});
}

}  // namespace radgpt
