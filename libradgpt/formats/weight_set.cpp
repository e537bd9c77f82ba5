#include "libradgpt/formats/weight_set.h"

#include <algorithm>
#include <filesystem>
#include <set>

#include "libradgpt/base/error.h"

namespace radgpt {
namespace {

namespace fs = std::filesystem;

bool is_present(const fs::path& path) {
  std::error_code ignored;
  return fs::exists(fs::symlink_status(path, ignored));
}

bool is_inside(const fs::path& path, const fs::path& folder) {
  return std::mismatch(folder.begin(), folder.end(), path.begin(), path.end()).first ==
         folder.end();
}

/// Opens a file of the folder, which may be a link that stays inside. A snapshot in Hugging Face's
/// cache (models--X/snapshots/REVISION) consists of links into models--X/blobs.
InputFile open_inside(const fs::path& folder, const std::string& name) {
  std::error_code error;
  const fs::path root = fs::canonical(folder, error);
  const fs::path file = fs::canonical(folder / name, error);
  const std::string path = (folder / name).string();
  if (error) return open_regular_file(path);  // says what is wrong
  const bool is_snapshot = root.parent_path().filename() == "snapshots";
  const fs::path blobs = root.parent_path().parent_path() / "blobs";
  require(is_inside(file, root) || (is_snapshot && is_inside(file, blobs)), path,
          ": must be in the folder, got a link that leads out of it");
  InputFile opened = open_regular_file(file.string());
  opened.path = path;
  return opened;
}

}  // namespace

bool WeightSet::is_in(const std::string& folder, const WeightSetNames& names) {
  return is_present(fs::path(folder) / names.single) || is_present(fs::path(folder) / names.index);
}

WeightSet::WeightSet(const std::string& folder, const WeightSetNames& names)
    : folder_(folder), names_(names) {
  const bool has_single = is_present(fs::path(folder) / names.single);
  const bool has_index = is_present(fs::path(folder) / names.index);
  require(has_single != has_index, folder, ": must hold ", names.single, " or ", names.index,
          ", got ", has_single ? "both" : "neither");
  if (has_single) {
    open_single();
  } else {
    open_shards();
  }
}

const TensorFile& WeightSet::open_file(const std::string& name) {
  files_.push_back(open_tensor_file(open_inside(folder_, name)));
  return *files_.back();
}

void WeightSet::open_single() {
  const TensorFile& file = open_file(std::string(names_.single));
  for (const TensorInfo& tensor : file.tensors()) places_[tensor.name] = {&file, &tensor};
}

void WeightSet::open_shards() {
  const std::string index_name(names_.index);
  const std::string index_path = (fs::path(folder_) / index_name).string();
  open_inside(folder_, index_name);  // refuses a link that leads elsewhere
  const CheckpointIndex index = read_checkpoint_index(index_path, names_.ending);
  std::set<std::string> shards;
  for (const auto& [name, shard] : index.shard) shards.insert(shard);
  uint64_t total_size = 0;
  for (const std::string& shard : shards) {
    const TensorFile& file = open_file(shard);
    for (const TensorInfo& tensor : file.tensors()) {
      const auto entry = index.shard.find(tensor.name);
      require(entry != index.shard.end() && entry->second == shard, index_path,
              ": weight_map: ", tensor.name, ": must name ", shard, ", which holds it, but ",
              entry == index.shard.end() ? "is missing" : "names " + entry->second);
      places_[tensor.name] = {&file, &tensor};
      total_size += tensor.bytes();
    }
  }
  for (const auto& [name, shard] : index.shard) {
    require(places_.contains(name), index_path, ": weight_map: ", name, ": must be in ", shard,
            ", but is missing there");
  }
  require(total_size == index.total_size, index_path,
          ": metadata.total_size: must be the bytes of all tensors, ", total_size, ", got ",
          index.total_size);
}

}  // namespace radgpt
