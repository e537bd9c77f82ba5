#include "libradgpt/formats/tensor_file.h"

#include <algorithm>
#include <utility>

#include "libradgpt/base/error.h"
#include "libradgpt/formats/safetensors.h"

namespace radgpt {
namespace {

constexpr size_t kCheckedAtOnce = size_t{1} << 20;

}  // namespace

const TensorInfo* TensorFile::find(const std::string& name) const {
  const auto found = by_name_.find(name);
  return found == by_name_.end() ? nullptr : &tensors_[found->second];
}

void TensorFile::read(const TensorInfo& tensor, std::span<std::byte> into, uint64_t from) const {
  const auto found = by_name_.find(tensor.name);
  require(found != by_name_.end(), path_, ": ", tensor.name, ": must be there, but is missing");
  const uint64_t bytes = tensors_[found->second].bytes();
  require(from <= bytes && into.size() <= bytes - from, path_, ": ", tensor.name, ": has ", bytes,
          " bytes, asked for ", into.size(), " from ", from);
  read_range(found->second, into, from);
}

void TensorFile::require_finite() const {
  std::vector<std::byte> buffer(kCheckedAtOnce);
  for (const TensorInfo& tensor : tensors_) {
    const uint64_t bytes = tensor.bytes();
    for (uint64_t from = 0; from < bytes; from += kCheckedAtOnce) {
      const size_t count = std::min<uint64_t>(kCheckedAtOnce, bytes - from);
      const std::span<std::byte> piece = std::span(buffer).first(count);
      read(tensor, piece, from);
      const auto fault = find_non_finite(tensor.dtype, piece);
      require(!fault.has_value(), path_, ": ", tensor.name,
              ": must be finite, got NaN or infinity at element ",
              from / static_cast<uint64_t>(size_of(tensor.dtype)) + fault.value_or(0));
    }
  }
}

void TensorFile::set_tensors(std::vector<TensorInfo> tensors) {
  tensors_ = std::move(tensors);
  for (size_t i = 0; i < tensors_.size(); ++i) by_name_[tensors_[i].name] = i;
}

std::unique_ptr<TensorFile> open_tensor_file(const std::string& path) {
  return open_tensor_file(open_regular_file(path));
}

std::unique_ptr<TensorFile> open_tensor_file(InputFile file) {
  require(file.path.ends_with(".safetensors"), file.path, ": must be named NAME.safetensors");
  return std::make_unique<SafetensorsFile>(std::move(file));
}

}  // namespace radgpt
