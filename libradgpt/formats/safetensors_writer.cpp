#include <nlohmann/json.hpp>

#include "libradgpt/base/error.h"
#include "libradgpt/base/text.h"
#include "libradgpt/formats/safetensors.h"
#include "libradgpt/formats/safetensors_header.h"

namespace radgpt {
namespace {

constexpr uint64_t kAlignment = 8;

/// The header's text, and the size of the data it describes.
struct PlannedFile {
  std::string header;
  uint64_t data_bytes = 0;
};

PlannedFile plan(const std::string& path, const std::vector<TensorSpec>& tensors,
                 const std::map<std::string, std::string>& metadata) {
  PlannedFile file;
  nlohmann::ordered_json header = nlohmann::ordered_json::object();
  if (!metadata.empty()) header["__metadata__"] = metadata;
  for (const TensorSpec& tensor : tensors) {
    require(!find_invalid_utf8(tensor.name) && !header.contains(tensor.name), path,
            ": tensor names must be UTF-8 and differ from each other");
    const uint64_t bytes = byte_count(tensor.dtype, tensor.shape).value_or(0);
    header[tensor.name] = {{"dtype", name_of(tensor.dtype)},
                           {"shape", tensor.shape},
                           {"data_offsets", {file.data_bytes, file.data_bytes + bytes}}};
    file.data_bytes += bytes;
  }
  for (const auto& [key, text] : metadata) {
    require(!find_invalid_utf8(key) && !find_invalid_utf8(text), path,
            ": __metadata__: must be valid UTF-8");
  }
  file.header = header.dump();
  while (file.header.size() % kAlignment != 0) file.header += ' ';
  parse_safetensors_header(file.header, file.data_bytes, path);  // whatever we write, we can read
  return file;
}

}  // namespace

SafetensorsWriter::SafetensorsWriter(const std::string& path,
                                     const std::vector<TensorSpec>& tensors,
                                     const std::map<std::string, std::string>& metadata)
    : file_(path), path_(path) {
  const PlannedFile planned = plan(path, tensors, metadata);
  expected_ = planned.data_bytes;
  const uint64_t length = planned.header.size();
  file_.write({reinterpret_cast<const char*>(&length), sizeof length});
  file_.write(planned.header);
}

void SafetensorsWriter::write(std::span<const std::byte> bytes) {
  file_.write({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
  written_ += bytes.size();
}

void SafetensorsWriter::finish() {
  require(written_ == expected_, path_, ": data: must be ", expected_, " bytes, got ", written_);
  file_.commit();
}

void write_safetensors(const std::string& path, const std::vector<TensorBytes>& tensors,
                       const std::map<std::string, std::string>& metadata) {
  std::vector<TensorSpec> specs;
  for (const TensorBytes& tensor : tensors) specs.push_back(tensor.spec);
  SafetensorsWriter writer(path, specs, metadata);
  for (const auto& [spec, bytes] : tensors) {
    const uint64_t expected = byte_count(spec.dtype, spec.shape).value_or(0);
    require(bytes.size() == expected, path, ": ", spec.name, ": must have ", expected,
            " bytes for ", name_of(spec.dtype), " ", to_text(spec.shape), ", got ", bytes.size());
    writer.write(bytes);
  }
  writer.finish();
}

}  // namespace radgpt
