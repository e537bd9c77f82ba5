#include "libradgpt/checkpoint/checkpoint_manifest.h"

#include <bit>
#include <nlohmann/json.hpp>

#include "libradgpt/base/files.h"
#include "libradgpt/base/hash.h"
#include "libradgpt/formats/json.h"

namespace radgpt {
namespace {

using Json = nlohmann::json;

constexpr int64_t kFormatVersion = 1;
constexpr uint64_t kLargestManifest = 1 << 20;
constexpr int kIndent = 1;
constexpr int64_t kLargest = int64_t{1} << 50;  // of steps and bytes

/// Bytes that are not UTF-8 become U+FFFD.
std::string text_of(const Json& json, int indent) {
  return json.dump(indent, ' ', false, Json::error_handler_t::replace);
}

std::string digest_of(Json manifest) {
  manifest.erase("digest");
  return to_hex(sha256(text_of(manifest, -1)));
}

void check_digest_and_version(const Json& manifest, const JsonObject& object) {
  const int64_t version = object.integer("version", 1, 1 << 20);
  require(object.text("digest") == digest_of(manifest), object.where(),
          ": digest: must match the manifest; the file was changed");
  if (version > kFormatVersion) {
    throw LaterFormat(ErrorKind::kInput,
                      concat(object.where(), ": version: must be at most ", kFormatVersion,
                             ", got ", version, "; a later version of libradgpt wrote it"));
  }
}

std::map<std::string, std::string> texts_of(const Json& manifest, const JsonObject& object,
                                            const std::string& key) {
  const JsonObject texts = object.object(key);
  std::map<std::string, std::string> values;
  for (const auto& [name, value] : manifest.at(key).items()) values[name] = texts.text(name);
  return values;
}

std::map<std::string, CheckpointManifest::File> files_of(const Json& manifest,
                                                         const JsonObject& object) {
  const JsonObject files = object.object("files");
  std::map<std::string, CheckpointManifest::File> described;
  for (const auto& [name, value] : manifest.at("files").items()) {
    require(!name.empty() && name[0] != '.' &&
                name.find_first_of(std::string("/\0", 2)) == std::string::npos,
            object.where(), ": files: must be names of plain files in the folder");
    const JsonObject file = files.object(name);
    described[name] = {file.integer("size", 0, kLargest), file.text("sha256")};
  }
  return described;
}

}  // namespace

CheckpointManifest::File describe_file(const std::string& path) {
  return {static_cast<int64_t>(open_regular_file(path).size), to_hex(sha256_of_file(path))};
}

std::string write_checkpoint_manifest(const CheckpointManifest& manifest) {
  const Checkpoint& checkpoint = manifest.checkpoint;
  Json json = {{"version", kFormatVersion},
               {"step", checkpoint.step},
               {"best", checkpoint.mark == Checkpoint::Mark::kBest},
               {"best_loss_bits", std::bit_cast<int64_t>(checkpoint.best_loss)},
               {"counters", checkpoint.counters},
               {"facts", checkpoint.facts},
               {"identity", manifest.identity},
               {"files", Json::object()}};
  for (const auto& [name, file] : manifest.files) {
    json["files"][name] = {{"size", file.size}, {"sha256", file.sha256}};
  }
  json["digest"] = digest_of(json);
  std::string text = text_of(json, kIndent);
  require(text.size() <= kLargestManifest, "checkpoint: counters and facts must take at most ",
          kLargestManifest, " bytes, got ", text.size());
  return text;
}

CheckpointManifest read_checkpoint_manifest(const std::string& folder) {
  const std::string path = folder + "/" + kManifestFile;
  const std::string text = read_file(path, kLargestManifest);
  const Json json = parse_json(text, {path});
  const JsonObject object(json, path);
  check_digest_and_version(json, object);
  require(text == text_of(json, kIndent), path,
          ": must have the bytes that were written, got the same in other ones");
  CheckpointManifest manifest;
  Checkpoint& checkpoint = manifest.checkpoint;
  checkpoint.step = object.integer("step", 0, kLargest);
  // The first checkpoints of this version had neither mark nor facts.
  if (object.boolean_or("best", false)) checkpoint.mark = Checkpoint::Mark::kBest;
  if (object.has("facts")) checkpoint.facts = texts_of(json, object, "facts");
  checkpoint.best_loss =
      std::bit_cast<double>(object.integer("best_loss_bits", INT64_MIN, INT64_MAX));
  const JsonObject counters = object.object("counters");
  for (const auto& [name, value] : json.at("counters").items()) {
    checkpoint.counters[name] = counters.integer(name, INT64_MIN, INT64_MAX);
  }
  manifest.identity = texts_of(json, object, "identity");
  manifest.files = files_of(json, object);
  return manifest;
}

void verify_files(const CheckpointManifest& manifest, const std::string& folder) {
  for (const auto& [name, file] : manifest.files) {
    const std::string path = folder + "/" + name;
    const auto size = static_cast<int64_t>(open_regular_file(path).size);
    require(size == file.size, path, ": must have ", file.size, " bytes, got ", size);
    require(to_hex(sha256_of_file(path)) == file.sha256, path,
            ": must have the SHA-256 of its manifest; the file is damaged");
  }
}

}  // namespace radgpt
