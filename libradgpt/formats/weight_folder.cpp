#include <algorithm>
#include <filesystem>
#include <set>
#include <utility>

#include "libradgpt/base/error.h"
#include "libradgpt/formats/checkpoint_index.h"

namespace radgpt {
namespace {

namespace fs = std::filesystem;

const std::string kSingleName = "model.safetensors";
const std::string kIndexName = "model.safetensors.index.json";

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

/// Bytes of all pytorch_model*.bin of the folder.
uint64_t pytorch_bytes(const fs::path& folder) {
  uint64_t bytes = 0;
  std::error_code ignored;
  for (fs::directory_iterator entry(folder, ignored), end; entry != end; entry.increment(ignored)) {
    const std::string name = entry->path().filename().string();
    if (!name.starts_with("pytorch_model") || !name.ends_with(".bin")) continue;
    std::error_code error;
    const uint64_t size = entry->file_size(error);
    bytes += error ? 0 : size;
  }
  return bytes;
}

/// Throws the first fault with the number of those like it.
void refuse_first_of(const std::vector<std::string>& faults) {
  if (faults.empty()) return;
  const std::string others =
      faults.size() == 1 ? "" : concat(" (and ", faults.size() - 1, " more like it)");
  fail(ErrorKind::kInput, faults.front(), others);
}

bool is_rotary_table(const std::string& name) { return name.ends_with("rotary_emb.inv_freq"); }

}  // namespace

WeightFolder::WeightFolder(const std::string& folder) : folder_(folder) {
  std::error_code ignored;
  require(fs::is_directory(folder, ignored), folder, ": must be a folder with a model's weights, ",
          is_present(folder) ? "got a file" : "there is none");
  const bool has_single = is_present(fs::path(folder) / kSingleName);
  const bool has_index = is_present(fs::path(folder) / kIndexName);
  require(has_single || has_index || pytorch_bytes(folder) == 0, folder,
          ": only pytorch_model.bin found; convert it to safetensors");
  require(has_single || has_index, folder, ": must hold ", kSingleName, " or ", kIndexName,
          ", got neither");
  require(!has_single || !has_index, folder, ": must hold ", kSingleName, " or ", kIndexName,
          ", got both");
  if (has_single) {
    open_single();
  } else {
    open_shards();
  }
  check_other_format();
}

const SafetensorsFile& WeightFolder::open_file(const std::string& name) {
  files_.push_back(std::make_unique<SafetensorsFile>(open_inside(folder_, name)));
  return *files_.back();
}

void WeightFolder::open_single() {
  const SafetensorsFile& file = open_file(kSingleName);
  for (const TensorInfo& tensor : file.tensors()) places_[tensor.name] = {&file, &tensor};
}

void WeightFolder::open_shards() {
  const std::string index_path = (fs::path(folder_) / kIndexName).string();
  open_inside(folder_, kIndexName);  // refuses a link that leads elsewhere
  const CheckpointIndex index = read_checkpoint_index(index_path);
  std::set<std::string> shards;
  for (const auto& [name, shard] : index.shard) shards.insert(shard);
  uint64_t total_size = 0;
  for (const std::string& shard : shards) {
    const SafetensorsFile& file = open_file(shard);
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

/// Beside the safetensors there may be the same weights as PyTorch files. Which of two different
/// sets is meant cannot be known. Sizes tell them apart: zip and pickle add little to the data.
void WeightFolder::check_other_format() const {
  const uint64_t pytorch = pytorch_bytes(folder_);
  if (pytorch == 0) return;
  uint64_t data = 0;
  for (const auto& [name, place] : places_) data += place.tensor->bytes();
  constexpr uint64_t kFileOverhead = 64 << 10;
  constexpr uint64_t kTensorOverhead = 4 << 10;
  const uint64_t most = data + kFileOverhead + kTensorOverhead * places_.size();
  require(pytorch >= data && pytorch <= most, folder_,
          ": pytorch_model*.bin: must hold the same weights as the safetensors, ", data,
          " bytes, got ", pytorch, " bytes; remove one of the two sets");
}

std::vector<std::string> WeightFolder::names() const {
  std::vector<std::string> names;
  for (const auto& [name, place] : places_) names.push_back(name);
  return names;
}

const TensorInfo* WeightFolder::find(const std::string& name) const {
  const auto place = places_.find(name);
  return place == places_.end() ? nullptr : place->second.tensor;
}

void WeightFolder::read(const std::string& name, std::span<std::byte> into, uint64_t from) const {
  const auto place = places_.find(name);
  require(place != places_.end(), folder_, ": ", name, ": must be there, but is missing");
  place->second.file->read(*place->second.tensor, into, from);
}

void WeightFolder::expect(const std::vector<NamedShape>& tensors) const {
  std::vector<std::string> missing;
  std::vector<std::string> wrong;
  std::map<std::string, Place> extra = places_;
  for (const auto& [name, shape] : tensors) {
    extra.erase(name);
    const auto found = places_.find(name);
    if (found == places_.end()) {
      missing.push_back(concat(folder_, ": ", name, ": must be there with shape ", to_text(shape),
                               ", but is missing"));
      continue;
    }
    const auto& [file, tensor] = found->second;
    const std::string place = file->path() + ": " + name;
    if (tensor->shape != shape) {
      wrong.push_back(concat(place, ": must have shape ", to_text(shape), " by config.json, got ",
                             to_text(tensor->shape)));
    } else if (!is_weight_type(tensor->dtype)) {
      wrong.push_back(concat(place, ": must be BF16, F16 or F32, got ", name_of(tensor->dtype)));
    }
  }
  std::vector<std::string> unknown;
  for (const auto& [name, place] : extra) {
    if (is_rotary_table(name)) continue;
    unknown.push_back(place.file->path() + ": " + name + ": must not be there: no such tensor in " +
                      "this model");
  }
  refuse_first_of(missing);
  refuse_first_of(wrong);
  refuse_first_of(unknown);
}

void WeightFolder::require_finite() const {
  for (const auto& file : files_) file->require_finite();
}

}  // namespace radgpt
