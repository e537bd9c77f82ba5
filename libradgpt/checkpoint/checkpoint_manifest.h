#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "libradgpt/base/error.h"
#include "libradgpt/checkpoint/checkpoint_store.h"

namespace radgpt {

/// The manifest's name in a checkpoint's folder.
inline constexpr const char* kManifestFile = "MANIFEST.json";

/// MANIFEST.json of a checkpoint, format version 1, written last: what the checkpoint says beside
/// its tensors, and size and SHA-256 of its files. One JSON object with the SHA-256 of its own
/// compact text, keys sorted, without `digest`, in `digest`. Every version of the format has
/// `version` and `digest` in this sense, so that a later one is told from a damaged one.
struct CheckpointManifest {
  struct File {
    int64_t size = 0;
    std::string sha256;
  };

  Checkpoint checkpoint;  ///< without tensors
  Identity identity;
  std::map<std::string, File> files;  ///< by name in the folder
};

/// A checkpoint that a later version of libradgpt wrote: nothing is wrong with it.
class LaterFormat : public Error {
 public:
  using Error::Error;
};

/// Size and SHA-256 of a file as it stands in the folder.
CheckpointManifest::File describe_file(const std::string& path);

std::string write_checkpoint_manifest(const CheckpointManifest& manifest);

/// Reads and checks the manifest of a folder, without looking at other files. Throws Error naming
/// file and key, LaterFormat where its version is not known yet.
CheckpointManifest read_checkpoint_manifest(const std::string& folder);

/// Throws Error(kInput) unless all files of the manifest are in the folder as it says.
void verify_files(const CheckpointManifest& manifest, const std::string& folder);

}  // namespace radgpt
