#include "libradgpt/checkpoint/checkpoint_store.h"

#include <fcntl.h>
#include <sys/file.h>
#include <torch/types.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <iterator>
#include <vector>

#include "libradgpt/base/error.h"
#include "libradgpt/base/hash.h"
#include "libradgpt/formats/json.h"
#include "libradgpt/formats/safetensors.h"

namespace radgpt {

namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

constexpr int64_t kFormatVersion = 1;
constexpr uint64_t kManifestLimit = 1 << 20;
constexpr const char* kStateFile = "state.safetensors";
constexpr const char* kManifestFile = "MANIFEST.json";
constexpr const char* kUnfinished = ".unfinished-";
constexpr const char* kRemoved = ".removed-";

std::string folder_name(int64_t step) { return concat("step-", step); }

/// The step of a folder name, or -1 for any other name.
int64_t step_of(const std::string& name) {
  if (name.rfind("step-", 0) != 0 || name.size() == 5 || name.size() > 20) return -1;
  const std::string digits = name.substr(5);
  if (digits.find_first_not_of("0123456789") != std::string::npos) return -1;
  return std::stoll(digits);
}

/// Step → path.
std::map<int64_t, std::string> list_checkpoints(const std::string& folder) {
  std::map<int64_t, std::string> found;
  for (const auto& entry : fs::directory_iterator(folder)) {
    const int64_t step = step_of(entry.path().filename());
    if (step >= 0 && entry.is_directory()) found[step] = entry.path();
  }
  return found;
}

void rename_or_fail(const std::string& from, const std::string& to) {
  if (::rename(from.c_str(), to.c_str()) != 0) {
    fail(ErrorKind::kEnvironment, from, ": cannot be renamed to ", to, ": ", std::strerror(errno));
  }
}

std::string digest_of(Json manifest) {
  manifest.erase("digest");
  return to_hex(sha256(manifest.dump()));
}

void write_state(const std::string& path, const std::map<std::string, at::Tensor>& tensors) {
  std::vector<TensorBytes> entries;
  for (const auto& [name, tensor] : tensors) {
    require(tensor.is_contiguous() && tensor.scalar_type() == at::kFloat, "checkpoint: ", name,
            " must be contiguous fp32");
    entries.push_back({{name, DataType::kF32, {tensor.numel()}},
                       {static_cast<const std::byte*>(tensor.const_data_ptr()), tensor.nbytes()}});
  }
  write_safetensors(path, entries);
}

Json describe(const Checkpoint& checkpoint, const Identity& identity, const std::string& state) {
  Json manifest = {{"version", kFormatVersion},
                   {"step", checkpoint.step},
                   {"counters", checkpoint.counters},
                   {"best_loss_bits", std::bit_cast<int64_t>(checkpoint.best_loss)},
                   {"identity", identity}};
  manifest["files"][kStateFile] = {{"size", static_cast<int64_t>(fs::file_size(state))},
                                   {"sha256", to_hex(sha256_of_file(state))}};
  manifest["digest"] = digest_of(manifest);
  return manifest;
}

/// The manifest of a checkpoint folder after all checks that need no tensors.
Json verified_manifest(const std::string& folder) {
  const std::string path = folder + "/" + kManifestFile;
  Json manifest = read_json_file(path, kManifestLimit);
  const JsonObject object(manifest, path);
  const int64_t version = object.integer("version", 1, 1 << 20);
  require(version == kFormatVersion, path, ": version: must be ", kFormatVersion, ", got ",
          version);
  require(object.text("digest") == digest_of(manifest), path,
          ": digest: must match the manifest; the file was changed");
  const JsonObject files = object.object("files");
  const JsonObject state = files.object(kStateFile);
  const std::string state_path = folder + "/" + kStateFile;
  const int64_t size = state.integer("size", 0, int64_t{1} << 50);
  require(fs::exists(state_path), state_path, ": must be there, got no file");
  const auto actual = static_cast<int64_t>(fs::file_size(state_path));
  require(actual == size, state_path, ": must have ", size, " bytes, got ", actual);
  require(to_hex(sha256_of_file(state_path)) == state.text("sha256"), state_path,
          ": must have the SHA-256 of its manifest; the file is damaged");
  return manifest;
}

FileDescriptor take_lock(const std::string& folder) {
  const std::string path = folder + "/.lock";
  FileDescriptor lock(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (lock.get() < 0) {
    fail(ErrorKind::kEnvironment, path, ": cannot be written: ", std::strerror(errno));
  }
  char owner[32] = {};
  if (::flock(lock.get(), LOCK_EX | LOCK_NB) != 0) {
    const ssize_t length = ::pread(lock.get(), owner, sizeof owner - 1, 0);
    fail(ErrorKind::kInput, folder, ": must be used by one run at a time, is in use by process ",
         length > 0 ? owner : "unknown");
  }
  const std::string process = std::to_string(::getpid());
  if (::ftruncate(lock.get(), 0) != 0 ||
      ::pwrite(lock.get(), process.data(), process.size(), 0) < 0) {
    fail(ErrorKind::kEnvironment, path, ": cannot be written: ", std::strerror(errno));
  }
  return lock;
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
  if (!fs::is_directory(folder)) return 0;
  const std::map<int64_t, std::string> found = list_checkpoints(folder);
  return found.empty() ? 0 : found.rbegin()->first;
}

CheckpointStore::CheckpointStore(std::string folder, int64_t keep, Identity identity)
    : folder_(std::move(folder)), keep_(keep), identity_(std::move(identity)) {
  std::error_code error;
  fs::create_directories(folder_, error);
  if (error) fail(ErrorKind::kEnvironment, folder_, ": cannot be made: ", error.message());
  lock_ = take_lock(folder_);
  for (const auto& entry : fs::directory_iterator(folder_)) {
    const std::string name = entry.path().filename();
    if (name.rfind(kUnfinished, 0) == 0 || name.rfind(kRemoved, 0) == 0) {
      fs::remove_all(entry.path(), error);
    }
  }
}

void CheckpointStore::save(const Checkpoint& checkpoint) {
  const std::string name = folder_name(checkpoint.step);
  const std::string unfinished = folder_ + "/" + kUnfinished + name;
  const std::string finished = folder_ + "/" + name;
  std::error_code error;
  fs::remove_all(unfinished, error);
  fs::create_directory(unfinished, error);
  if (error) fail(ErrorKind::kEnvironment, unfinished, ": cannot be made: ", error.message());
  try {
    const std::string state = unfinished + "/" + kStateFile;
    write_state(state, checkpoint.tensors);
    write_file_atomically(unfinished + "/" + kManifestFile,
                          describe(checkpoint, identity_, state).dump(1));
  } catch (...) {
    fs::remove_all(unfinished, error);
    throw;
  }
  sync_folder(unfinished);
  if (fs::exists(finished)) {  // a damaged one that a resume passed over
    remove(checkpoint.step);
  }
  rename_or_fail(unfinished, finished);
  sync_folder(folder_);
  prune(checkpoint.step);
}

void CheckpointStore::prune(int64_t saved) const {
  std::map<int64_t, std::string> found = list_checkpoints(folder_);
  while (found.rbegin()->first > saved) {
    remove(found.rbegin()->first);
    found.erase(std::prev(found.end()));
  }
  while (static_cast<int64_t>(found.size()) > keep_) {
    remove(found.begin()->first);
    found.erase(found.begin());
  }
}

void CheckpointStore::clear() {
  for (const auto& [step, path] : list_checkpoints(folder_)) remove(step);
}

void CheckpointStore::remove(int64_t step) const {
  const std::string removed = folder_ + "/" + kRemoved + folder_name(step);
  rename_or_fail(folder_ + "/" + folder_name(step), removed);
  std::error_code ignored;  // what stays is swept at the next start
  fs::remove_all(removed, ignored);
}

CheckpointStore::Loaded CheckpointStore::load(const std::string& path) const {
  const Json manifest = verified_manifest(path);
  const JsonObject object(manifest, path + "/" + kManifestFile);
  Checkpoint checkpoint;
  checkpoint.step = object.integer("step", 0, int64_t{1} << 50);
  checkpoint.best_loss =
      std::bit_cast<double>(object.integer("best_loss_bits", INT64_MIN, INT64_MAX));
  checkpoint.counters = manifest.at("counters").get<std::map<std::string, int64_t>>();
  const SafetensorsFile state(path + "/" + kStateFile);
  for (const TensorInfo& info : state.tensors()) {
    require(info.dtype == DataType::kF32, path, ": ", info.name, ": must be F32, got ",
            name_of(info.dtype));
    at::Tensor tensor = at::empty(info.shape, at::kFloat);
    state.read(info, {static_cast<std::byte*>(tensor.mutable_data_ptr()), tensor.nbytes()});
    checkpoint.tensors.emplace(info.name, std::move(tensor));
  }
  return {std::move(checkpoint), manifest.at("identity").get<Identity>()};
}

std::optional<Checkpoint> CheckpointStore::load_newest(
    const std::function<void(const std::string&)>& note) const {
  const std::map<int64_t, std::string> found = list_checkpoints(folder_);
  for (auto at = found.rbegin(); at != found.rend(); ++at) {
    Loaded loaded;
    try {
      loaded = load(at->second);
    } catch (const Error& error) {
      note(concat("checkpoint passed over: ", error.what()));
      continue;
    }
    for (const auto& [name, digest] : identity_) {
      require(loaded.identity[name] == digest, at->second, ": identity: the ", name,
              " must be the one of the run that is resumed, got another");
    }
    return std::move(loaded.checkpoint);
  }
  require(found.empty(), folder_, ": all ", found.size(),
          " checkpoints are damaged; nothing to resume from");
  return std::nullopt;
}

}  // namespace radgpt
