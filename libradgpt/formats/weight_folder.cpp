#include <algorithm>
#include <filesystem>
#include <utility>

#include "libradgpt/base/error.h"
#include "libradgpt/base/hash.h"
#include "libradgpt/formats/checkpoint_index.h"
#include "libradgpt/formats/pytorch_file.h"
#include "libradgpt/formats/weight_set.h"

namespace radgpt {
namespace {

namespace fs = std::filesystem;

/// Whether there are weights in PyTorch files: an index alone is what a download without them
/// leaves.
bool has_pytorch_weights(const std::string& folder) {
  std::error_code ignored;
  for (fs::directory_iterator entry(folder, ignored), end; entry != end; entry.increment(ignored)) {
    const std::string name = entry->path().filename().string();
    if (name.starts_with("pytorch_model") && name.ends_with(kPytorchSet.ending)) return true;
  }
  return false;
}

/// Throws the first fault with the number of those like it.
void refuse_first_of(const std::vector<std::string>& faults) {
  if (faults.empty()) return;
  const std::string others =
      faults.size() == 1 ? "" : concat(" (and ", faults.size() - 1, " more like it)");
  fail(ErrorKind::kInput, faults.front(), others);
}

bool is_rotary_table(const std::string& name) { return name.ends_with("rotary_emb.inv_freq"); }

std::string describe(const TensorInfo& tensor) {
  return concat(name_of(tensor.dtype), " ", to_text(tensor.shape));
}

constexpr std::string_view kMustBeTwins =
    ": must be the same in the safetensors and in pytorch_model*.bin beside them, got ";
constexpr std::string_view kRemoveOne = "; remove one of the two sets";

}  // namespace

WeightFolder::WeightFolder(const std::string& folder) : folder_(folder) {
  std::error_code ignored;
  require(fs::is_directory(folder, ignored), folder, ": must be a folder with a model's weights, ",
          fs::exists(fs::symlink_status(folder, ignored)) ? "got a file" : "there is none");
  const bool has_twin = has_pytorch_weights(folder);
  const bool has_safetensors = WeightSet::is_in(folder, kSafetensorsSet);
  require(has_safetensors || has_twin, folder, ": must hold ", kSafetensorsSet.single, " or ",
          kPytorchSet.single, ", or shards with their index, got neither");
  if (!has_safetensors) {
    weights_ = std::make_unique<WeightSet>(folder, kPytorchSet);
    return;
  }
  weights_ = std::make_unique<WeightSet>(folder, kSafetensorsSet);
  if (!has_twin) return;
  try {
    twin_ = std::make_unique<WeightSet>(folder, kPytorchSet);
  } catch (const Error& error) {
    fail(error.kind(), error.what(), "; it must be the same as the safetensors", kRemoveOne);
  }
  compare_descriptions();
}

WeightFolder::~WeightFolder() = default;

/// Which of two different sets is meant cannot be known.
void WeightFolder::compare_descriptions() const {
  const auto compare = [&](const WeightSet& one, const WeightSet& other) {
    for (const auto& [name, place] : one.places()) {
      if (is_rotary_table(name)) continue;
      const auto found = other.places().find(name);
      const bool is_there = found != other.places().end();
      const bool is_same = is_there && describe(*place.tensor) == describe(*found->second.tensor);
      require(is_same, folder_, ": ", name, kMustBeTwins, describe(*place.tensor), " in ",
              fs::path(place.file->path()).filename().string(), " and ",
              is_there ? describe(*found->second.tensor) : "none in the other", kRemoveOne);
    }
  };
  compare(*weights_, *twin_);
  compare(*twin_, *weights_);
}

void WeightFolder::compare_bytes(const std::string& name, std::span<const std::byte> bytes,
                                 uint64_t from) const {
  Summed& summed = summed_[name];
  if (from == 0) summed = {};
  if (from != summed.bytes) return;
  summed.crc32 = crc32({reinterpret_cast<const char*>(bytes.data()), bytes.size()}, summed.crc32);
  summed.bytes += bytes.size();
  const auto found = twin_->places().find(name);
  if (found == twin_->places().end()) return;  // a rotary table
  const auto& [file, tensor] = found->second;
  if (summed.bytes < tensor->bytes()) return;
  const auto& pytorch = dynamic_cast<const PytorchFile&>(*file);
  require(pytorch.crc32(*tensor) == summed.crc32, folder_, ": ", name, kMustBeTwins, "other values",
          kRemoveOne);
}

std::vector<std::string> WeightFolder::names() const {
  std::vector<std::string> names;
  for (const auto& file : weights_->files()) {
    for (const TensorInfo& tensor : file->tensors()) names.push_back(tensor.name);
  }
  return names;
}

const TensorInfo* WeightFolder::find(const std::string& name) const {
  const auto place = weights_->places().find(name);
  return place == weights_->places().end() ? nullptr : place->second.tensor;
}

void WeightFolder::read(const std::string& name, std::span<std::byte> into, uint64_t from) const {
  const auto place = weights_->places().find(name);
  require(place != weights_->places().end(), folder_, ": ", name,
          ": must be there, but is missing");
  place->second.file->read(*place->second.tensor, into, from);
  if (twin_) compare_bytes(name, into, from);
}

void WeightFolder::expect(const std::vector<NamedShape>& tensors) const {
  std::vector<std::string> missing;
  std::vector<std::string> wrong;
  auto extra = weights_->places();
  for (const auto& [name, shape] : tensors) {
    extra.erase(name);
    const auto found = weights_->places().find(name);
    if (found == weights_->places().end()) {
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
  for (const auto& file : weights_->files()) file->require_finite();
}

}  // namespace radgpt
