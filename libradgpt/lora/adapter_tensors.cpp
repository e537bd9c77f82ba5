#include "libradgpt/lora/adapter_tensors.h"

#include <torch/types.h>

#include <filesystem>
#include <span>

#include "libradgpt/base/error.h"
#include "libradgpt/formats/safetensors.h"

namespace radgpt {

namespace {

const std::string kFile = "/adapter_model.safetensors";
const std::string kPickledFile = "/adapter_model.bin";
const std::string kBase = "base_fingerprint";

at::ScalarType scalar_type(const std::string& path, const TensorInfo& tensor) {
  switch (tensor.dtype) {
    case DataType::kF32:
      return at::kFloat;
    case DataType::kBF16:
      return at::kBFloat16;
    case DataType::kF16:
      return at::kHalf;
    default:
      fail(ErrorKind::kInput, path, ": ", tensor.name, ": type must be F32, BF16 or F16, got ",
           name_of(tensor.dtype));
  }
}

std::span<std::byte> bytes_of(const at::Tensor& tensor) {
  return {static_cast<std::byte*>(tensor.data_ptr()), tensor.nbytes()};
}

}  // namespace

AdapterTensors read_adapter_tensors(const std::string& folder) {
  AdapterTensors result;
  result.path = folder + kFile;
  if (!std::filesystem::exists(result.path) && std::filesystem::exists(folder + kPickledFile)) {
    result.path = folder + kPickledFile;
  }
  const auto file = open_tensor_file(result.path);
  const auto base = file->metadata().find(kBase);
  if (base != file->metadata().end()) result.base = base->second;
  // Views of a small file can describe much; adapters are no views.
  uint64_t described = 0;
  for (const TensorInfo& tensor : file->tensors()) described += tensor.bytes();
  const uint64_t size = std::filesystem::file_size(result.path);
  require(described <= 2 * size, result.path,
          ": tensors must have at most twice the file's bytes, ", size, ", got ", described);
  for (const TensorInfo& tensor : file->tensors()) {
    const at::Tensor stored = at::empty(tensor.shape, scalar_type(result.path, tensor));
    file->read(tensor, bytes_of(stored));
    require(at::isfinite(stored).all().item<bool>(), result.path, ": ", tensor.name,
            ": must be finite, got NaN or infinity");
    result.tensors[tensor.name] = stored.to(at::kFloat);
  }
  return result;
}

void write_adapter_tensors(const std::string& folder,
                           const std::map<std::string, at::Tensor>& tensors,
                           const std::string& base) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error) fail(ErrorKind::kEnvironment, folder, ": cannot make the folder: ", error.message());
  std::vector<at::Tensor> kept;
  std::vector<TensorBytes> written;
  for (const auto& [name, tensor] : tensors) {
    kept.push_back(tensor.detach().to(at::kCPU, at::kFloat).contiguous());
    written.push_back({{name, DataType::kF32, kept.back().sizes().vec()}, bytes_of(kept.back())});
  }
  std::map<std::string, std::string> metadata = {{"format", "pt"}};
  if (!base.empty()) metadata[kBase] = base;
  write_safetensors(folder + kFile, written, metadata);
}

}  // namespace radgpt
