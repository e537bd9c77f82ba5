#include "libradgpt/formats/checkpoint_index.h"

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>

#include "libradgpt/base/error.h"
#include "libradgpt/formats/json.h"

namespace radgpt {
namespace {

constexpr uint64_t kLargestIndex = 64 << 20;
constexpr size_t kLongestShardName = 128;

bool is_shard_name(const std::string& name, std::string_view ending) {
  const auto is_plain = [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_' ||
           c == '.' || c == '-';
  };
  return name.size() > ending.size() && name.size() <= kLongestShardName &&
         name.ends_with(ending) && name[0] != '.' && name[0] != '-' &&
         std::all_of(name.begin(), name.end(), is_plain);
}

}  // namespace

CheckpointIndex read_checkpoint_index(const std::string& path, std::string_view ending) {
  const nlohmann::json root = read_json_file(path, kLargestIndex);
  const JsonObject entries(root, path);
  CheckpointIndex index;
  index.total_size = static_cast<uint64_t>(
      entries.object("metadata").integer("total_size", 0, std::numeric_limits<int64_t>::max()));
  const JsonObject map = entries.object("weight_map");
  for (const auto& [name, value] : root.at("weight_map").items()) {
    const std::string& shard = map.text(name);
    require(is_shard_name(shard, ending), path, ": weight_map: ", name,
            ": must be the plain name of a ", ending, " file in the same folder, got a string of ",
            shard.size(), " bytes");
    index.shard[name] = shard;
  }
  require(!index.shard.empty(), path, ": weight_map: must name at least one tensor, got none");
  return index;
}

void write_checkpoint_index(const std::string& path, const CheckpointIndex& index) {
  const nlohmann::ordered_json root = {{"metadata", {{"total_size", index.total_size}}},
                                       {"weight_map", index.shard}};
  write_file_atomically(path, root.dump(2) + "\n");
}

}  // namespace radgpt
