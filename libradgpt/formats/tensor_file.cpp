#include "libradgpt/formats/tensor_file.h"

#include <algorithm>
#include <utility>

#include "libradgpt/base/error.h"
#include "libradgpt/formats/pytorch_file.h"
#include "libradgpt/formats/safetensors.h"

namespace radgpt {
namespace {

constexpr size_t kCheckedAtOnce = size_t{1} << 20;
constexpr size_t kLongestName = 512;

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

void TensorFile::set_tensors(std::vector<TensorInfo> tensors,
                             std::map<std::string, std::string> metadata) {
  metadata_ = std::move(metadata);
  tensors_ = std::move(tensors);
  for (size_t i = 0; i < tensors_.size(); ++i) by_name_[tensors_[i].name] = i;
}

std::unique_ptr<TensorFile> open_tensor_file(const std::string& path) {
  return open_tensor_file(open_regular_file(path));
}

std::unique_ptr<TensorFile> open_tensor_file(InputFile file) {
  if (file.path.ends_with(".bin")) return std::make_unique<PytorchFile>(std::move(file));
  require(file.path.ends_with(".safetensors"), file.path,
          ": must be named NAME.safetensors or NAME.bin, got another name");
  return std::make_unique<SafetensorsFile>(std::move(file));
}

void check_tensor_name(const std::string& name, const std::string& where) {
  require(!name.empty() && name.size() <= kLongestName, where, ": a tensor name must have 1 to ",
          kLongestName, " bytes, got ", name.size());
  const auto is_control = [](char byte) { return static_cast<uint8_t>(byte) < 32 || byte == 127; };
  require(std::none_of(name.begin(), name.end(), is_control), where,
          ": a tensor name must be without control characters, got one in a name of ", name.size(),
          " bytes");
}

std::string_view describe_other_file(std::string_view begin) {
  if (begin.starts_with("PK\x03\x04")) return " (this is a file of torch.save; name it NAME.bin)";
  if (begin.starts_with("\x80\x02")) {
    return " (this is a PyTorch file of the format before 1.6; load it and save it again with a "
           "newer PyTorch, or as safetensors)";
  }
  if (begin.size() > 8 && begin[8] == '{') return " (this is a safetensors file; name it so)";
  if (begin.starts_with("version ")) return " (this is a git-lfs pointer; fetch the file itself)";
  if (begin.starts_with("<")) return " (this is a web page; download the file itself)";
  return "";
}

}  // namespace radgpt
