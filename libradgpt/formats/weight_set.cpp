#include "libradgpt/formats/weight_set.h"

#include <filesystem>
#include <set>

#include "libradgpt/base/error.h"
#include "libradgpt/formats/folder_file.h"

namespace radgpt {

bool WeightSet::is_in(const std::string& folder, const WeightSetNames& names) {
  return has_entry(folder, names.single) || has_entry(folder, names.index);
}

WeightSet::WeightSet(const std::string& folder, const WeightSetNames& names)
    : folder_(folder), names_(names) {
  const bool has_single = has_entry(folder, names.single);
  const bool has_index = has_entry(folder, names.index);
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
  const std::string index_path = (std::filesystem::path(folder_) / index_name).string();
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
