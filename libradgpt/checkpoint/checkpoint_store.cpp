#include "libradgpt/checkpoint/checkpoint_store.h"

#include <torch/types.h>
#include <torch/version.h>

#include <cmath>
#include <filesystem>
#include <vector>

#include "libradgpt/base/error.h"
#include "libradgpt/base/folders.h"
#include "libradgpt/base/version.h"
#include "libradgpt/checkpoint/checkpoint_manifest.h"
#include "libradgpt/formats/safetensors.h"

namespace radgpt {

namespace {

constexpr const char* kStateFile = "state.safetensors";
constexpr const char* kUnfinished = ".unfinished-";
constexpr const char* kRemoved = ".removed-";

std::string folder_name(int64_t step) { return concat("step-", step); }

/// The step of a folder name, or -1 for any other name.
int64_t step_of(const std::string& name) {
  if (name.rfind("step-", 0) != 0 || name.size() == 5 || name.size() > 20) return -1;
  const std::string digits = name.substr(5);
  if (digits.find_first_not_of("0123456789") != std::string::npos) return -1;
  const int64_t step = std::stoll(digits);
  return name == folder_name(step) ? step : -1;
}

/// Step → path.
std::map<int64_t, std::string> list_checkpoints(const std::string& folder) {
  std::map<int64_t, std::string> found;
  for (const std::string& name : list_folder(folder)) {
    const int64_t step = step_of(name);
    if (step >= 0) found[step] = folder + "/" + name;
  }
  return found;
}

bool is_finite(const at::Tensor& tensor) {
  if (tensor.numel() == 0) return true;
  const auto [least, largest] = at::aminmax(tensor);  // not a number if any element is none
  return std::isfinite(least.item<float>()) && std::isfinite(largest.item<float>());
}

void write_state(const std::string& path, const std::map<std::string, at::Tensor>& tensors) {
  std::vector<TensorBytes> entries;
  for (const auto& [name, tensor] : tensors) {
    require(tensor.is_contiguous() && tensor.scalar_type() == at::kFloat, "checkpoint: ", name,
            " must be contiguous fp32");
    if (!is_finite(tensor)) {
      fail(ErrorKind::kNumeric, "checkpoint: ", name, " must be finite to be saved");
    }
    entries.push_back({{name, DataType::kF32, {tensor.numel()}},
                       {static_cast<const std::byte*>(tensor.const_data_ptr()), tensor.nbytes()}});
  }
  write_safetensors(path, entries);
}

std::map<std::string, at::Tensor> read_state(const std::string& path,
                                             const CheckpointNeeds& needs) {
  std::map<std::string, at::Tensor> tensors;
  const SafetensorsFile state(path);
  for (const TensorInfo& info : state.tensors()) {
    require(info.dtype == DataType::kF32, path, ": ", info.name, ": must be F32, got ",
            name_of(info.dtype));
    at::Tensor tensor = at::empty(info.shape, at::kFloat);
    state.read(info, {static_cast<std::byte*>(tensor.mutable_data_ptr()), tensor.nbytes()});
    require(is_finite(tensor), path, ": ", info.name, ": must be finite");
    tensors.emplace(info.name, std::move(tensor));
  }
  for (const auto& [name, elements] : needs.elements) {
    const auto found = tensors.find(name);
    require(found != tensors.end(), path, ": ", name, ": must be there, got no such tensor");
    require(found->second.numel() == elements, path, ": ", name, ": must have ", elements,
            " elements, got ", found->second.numel());
  }
  return tensors;
}

/// The checkpoint of a folder after all checks but that of its identity.
/// Belongs to another run, so none of it is passed over.
class OtherRun : public Error {
 public:
  using Error::Error;
};

void check_identity(const Identity& run, const CheckpointManifest& manifest,
                    const std::string& folder) {
  std::string differing;
  for (const auto& [name, digest] : run) {
    const auto found = manifest.identity.find(name);
    if (found != manifest.identity.end() && found->second == digest) continue;
    differing += (differing.empty() ? "" : " and the ") + name;
  }
  if (differing.empty()) return;
  throw OtherRun(ErrorKind::kInput,
                 concat(folder, ": identity: the ", differing,
                        " must be the one of the run that is resumed, got another"));
}

CheckpointManifest load(const std::string& folder, int64_t step, const CheckpointNeeds& needs,
                        const Identity& run) {
  CheckpointManifest manifest = read_checkpoint_manifest(folder);
  check_identity(run, manifest, folder);
  Checkpoint& checkpoint = manifest.checkpoint;
  const std::string path = folder + "/" + kManifestFile;
  require(checkpoint.step == step, path, ": step: must be that of the folder's name, ", step,
          ", got ", checkpoint.step);
  require(step <= needs.last_step, path, ": step: must be at most ", needs.last_step,
          ", the last of the run, got ", step);
  require(manifest.files.contains(kStateFile), path, ": files: must name ", kStateFile);
  verify_files(manifest, folder);
  checkpoint.tensors = read_state(folder + "/" + kStateFile, needs);
  return manifest;
}

bool is_marked_best(const std::string& folder) {
  try {
    return read_checkpoint_manifest(folder).checkpoint.mark == Checkpoint::Mark::kBest;
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::kInput) throw;  // it may be whole all the same
    return false;                                  // damaged, so nothing is lost with it
  }
}

}  // namespace

int64_t Checkpoint::counter(const std::string& name) const {
  const auto found = counters.find(name);
  require(found != counters.end(), "checkpoint of step ", step, ": counter ", name, " is missing");
  return found->second;
}

const at::Tensor& Checkpoint::tensor(const std::string& name, const at::Tensor& like) const {
  const auto found = tensors.find(name);
  require(found != tensors.end(), "checkpoint of step ", step, ": tensor ", name, " is missing");
  require(found->second.numel() == like.numel(), "checkpoint of step ", step, ": tensor ", name,
          " must have ", like.numel(), " elements, got ", found->second.numel());
  return found->second;
}

int64_t newest_checkpoint(const std::string& folder) {
  if (!std::filesystem::is_directory(folder)) return 0;
  const std::map<int64_t, std::string> found = list_checkpoints(folder);
  return found.empty() ? 0 : found.rbegin()->first;
}

CheckpointStore::CheckpointStore(std::string folder, int64_t keep, Identity identity)
    : folder_(std::move(folder)), keep_(keep), identity_(std::move(identity)), lock_(folder_) {
  require(keep_ >= 1, folder_, ": at least one checkpoint must be kept, got ", keep_);
  sweep();
}

void CheckpointStore::save(const Checkpoint& checkpoint) {
  lock_.require_held();
  sweep();
  uint64_t bytes = 0;
  for (const auto& [name, tensor] : checkpoint.tensors) bytes += tensor.nbytes();
  require_space(bytes, concat(folder_, "/", folder_name(checkpoint.step), "/", kStateFile));
  const std::string unfinished = folder_ + "/" + kUnfinished + folder_name(checkpoint.step);
  try {
    write(checkpoint, unfinished);
    put_in_place(unfinished, checkpoint.step);
  } catch (...) {
    try {
      remove_tree(unfinished);
    } catch (const Error&) {  // the next sweep says it, this error is the first one
    }
    throw;
  }
  sync_folder(folder_);
  prune(checkpoint.step);
}

void CheckpointStore::require_space(uint64_t tensor_bytes, const std::string& file) const {
  constexpr uint64_t kManifestAndHeader = 1 << 14;
  const uint64_t bytes = tensor_bytes + kManifestAndHeader;
  const uint64_t needed = bytes + bytes / 10;
  const std::optional<uint64_t> free = free_bytes(folder_);
  if (free && *free < needed) {
    fail(ErrorKind::kEnvironment, file, ": needs ", needed, " bytes, ", *free, " bytes free");
  }
}

/// Makes the folder and fills it durably.
void CheckpointStore::write(const Checkpoint& checkpoint, const std::string& folder) const {
  make_folder(folder);
  const std::string state = folder + "/" + kStateFile;
  write_state(state, checkpoint.tensors);
  CheckpointManifest manifest{checkpoint, identity_, {{kStateFile, describe_file(state)}}};
  manifest.checkpoint.facts["libtorch"] = TORCH_VERSION;
  manifest.checkpoint.facts["libradgpt"] = version();
  write_file_atomically(folder + "/" + kManifestFile, write_checkpoint_manifest(manifest));
  try {  // a write that was taken and lost shows in sizes
    const SafetensorsFile written(state);
    read_checkpoint_manifest(folder);
  } catch (const Error& error) {
    fail(ErrorKind::kEnvironment, "read back at once, ", error.what());
  }
}

/// One of the same step is there if a resume has passed it over, or if the save that made it could
/// not make it durable; it may be the only one.
void CheckpointStore::put_in_place(const std::string& unfinished, int64_t step) const {
  const std::string finished = folder_ + "/" + folder_name(step);
  if (entry_exists(finished)) {
    if (exchange_entries(unfinished, finished)) return;
    set_aside(step);
  }
  rename_entry(unfinished, finished);
}

void CheckpointStore::prune(int64_t saved) const {
  std::vector<int64_t> superfluous;
  int64_t kept = 0;
  bool best_kept = false;
  const std::map<int64_t, std::string> found = list_checkpoints(folder_);
  for (auto at = found.rbegin(); at != found.rend(); ++at) {
    const bool best = at->first <= saved && !best_kept && is_marked_best(at->second);
    if (at->first > saved || (kept >= keep_ && !best)) {
      superfluous.push_back(at->first);
    } else {
      ++kept;
      best_kept = best_kept || best;
    }
  }
  for (const int64_t step : superfluous) set_aside(step);
  // Before a file goes, its folder has its new name for good.
  if (!superfluous.empty()) sync_folder(folder_);
  sweep();
}

void CheckpointStore::clear() {
  for (const auto& [step, path] : list_checkpoints(folder_)) set_aside(step);
  sync_folder(folder_);
  sweep();
}

void CheckpointStore::set_aside(int64_t step) const {
  const std::string name = folder_name(step);
  rename_entry(folder_ + "/" + name, folder_ + "/" + kRemoved + name);
}

void CheckpointStore::sweep() const {
  bool synced = false;
  for (const std::string& name : list_folder(folder_)) {
    if (name.rfind(kUnfinished, 0) != 0 && name.rfind(kRemoved, 0) != 0) continue;
    // A process that was killed may have given it this name without making that durable: a power
    // cut now would bring the old name back, with half of its files.
    if (!synced) sync_folder(folder_);
    synced = true;
    remove_tree(folder_ + "/" + name);
  }
}

std::optional<Checkpoint> CheckpointStore::load_newest(
    const std::function<void(const std::string&)>& note, const CheckpointNeeds& needs) const {
  const std::map<int64_t, std::string> found = list_checkpoints(folder_);
  std::string newest;
  for (auto at = found.rbegin(); at != found.rend(); ++at) {
    CheckpointManifest manifest;
    try {
      manifest = load(at->second, at->first, needs, identity_);
    } catch (const LaterFormat&) {
      throw;
    } catch (const OtherRun&) {
      throw;
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::kInput) throw;  // it may be whole all the same
      note(concat("checkpoint passed over: ", error.what()));
      if (newest.empty()) newest = error.what();
      continue;
    }
    for (const std::string& name : list_folder(at->second)) {
      if (name == kManifestFile || manifest.files.contains(name)) continue;
      note(concat(at->second, "/", name, ": is no part of the checkpoint"));
    }
    return std::move(manifest.checkpoint);
  }
  require(found.empty(), folder_, ": none of ", found.size(),
          " checkpoints can be used, so nothing to resume from; the newest: ", newest);
  return std::nullopt;
}

}  // namespace radgpt
