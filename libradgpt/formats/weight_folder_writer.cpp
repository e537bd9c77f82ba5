#include <cstdio>
#include <filesystem>

#include "libradgpt/base/error.h"
#include "libradgpt/formats/checkpoint_index.h"

namespace radgpt {
namespace {

int64_t bytes_of(const TensorSpec& tensor) {
  return static_cast<int64_t>(byte_count(tensor.dtype, tensor.shape).value_or(0));
}

// First tensor of every shard, in order; a shard holds at most max_bytes unless one tensor is more.
std::vector<size_t> plan_shards(const std::vector<TensorSpec>& tensors, int64_t max_bytes) {
  std::vector<size_t> first = {0};
  int64_t filled = 0;
  for (size_t i = 0; i < tensors.size(); ++i) {
    if (filled > 0 && filled + bytes_of(tensors[i]) > max_bytes) {
      first.push_back(i);
      filled = 0;
    }
    filled += bytes_of(tensors[i]);
  }
  return first;
}

std::string shard_name(size_t number, size_t count) {
  if (count == 1) return "model.safetensors";
  char name[64];
  std::snprintf(name, sizeof name, "model-%05zu-of-%05zu.safetensors", number + 1, count);
  return name;
}

/// Hands the bytes of one tensor on, and refuses any number of them but that of its shape.
void write_tensor(SafetensorsWriter& writer, const TensorSpec& tensor, const std::string& path,
                  const std::function<void(const ByteSink&)>& give) {
  const auto expected = static_cast<uint64_t>(bytes_of(tensor));
  uint64_t written = 0;
  const auto check = [&](bool is_right, uint64_t got) {
    require(is_right, path, ": ", tensor.name, ": must have ", expected, " bytes for ",
            name_of(tensor.dtype), " ", to_text(tensor.shape), ", got ", got);
  };
  give([&](std::span<const std::byte> bytes) {
    check(bytes.size() <= expected - written, written + bytes.size());
    writer.write(bytes);
    written += bytes.size();
  });
  check(written == expected, written);
}

}  // namespace

void write_weight_folder(const std::string& folder, const std::vector<TensorSpec>& tensors,
                         int64_t max_shard_bytes, const TensorSource& source) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error) fail(ErrorKind::kEnvironment, folder, ": cannot make the folder: ", error.message());
  const std::vector<size_t> first = plan_shards(tensors, max_shard_bytes);
  CheckpointIndex index;
  for (size_t shard = 0; shard < first.size(); ++shard) {
    const size_t begin = first[shard];
    const size_t end = shard + 1 < first.size() ? first[shard + 1] : tensors.size();
    const std::string name = shard_name(shard, first.size());
    const std::string path = folder + "/" + name;
    SafetensorsWriter writer(path,
                             {tensors.begin() + static_cast<std::ptrdiff_t>(begin),
                              tensors.begin() + static_cast<std::ptrdiff_t>(end)},
                             {{"format", "pt"}});
    for (size_t i = begin; i < end; ++i) {
      write_tensor(writer, tensors[i], path, [&](const ByteSink& sink) { source(i, sink); });
      index.total_size += bytes_of(tensors[i]);
      index.shard[tensors[i].name] = name;
    }
    writer.finish();
  }
  if (first.size() > 1) write_checkpoint_index(folder + "/model.safetensors.index.json", index);
}

}  // namespace radgpt
