#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>

#include "libradgpt/base/files.h"

namespace radgpt {

/// All that a resume needs beside recipe, base and data.
struct Checkpoint {
  int64_t step = 0;
  double best_loss = 0.0;  ///< kept to the bit, infinity included
  std::map<std::string, int64_t> counters;
  std::map<std::string, at::Tensor> tensors;  ///< contiguous fp32

  /// Throws Error(kInput) naming step and counter if it is not there.
  int64_t counter(const std::string& name) const;
  /// The tensor, which must have as many elements as `like`. Throws Error(kInput) otherwise.
  const at::Tensor& tensor(const std::string& name, const at::Tensor& like) const;
};

/// What a checkpoint belongs to, by name: "recipe", "base", "tokenizer", "data" → SHA-256.
using Identity = std::map<std::string, std::string>;

/// The step of the newest checkpoint in a folder, 0 without any, by its name: for those who watch a
/// run from outside. Takes no lock and verifies nothing.
int64_t newest_checkpoint(const std::string& folder);

/// The checkpoints of one run, `<folder>/step-N/`, each with `state.safetensors` and
/// `MANIFEST.json` (format version, step, counters, identity, size and SHA-256 of each file, and a
/// digest of itself).
///
/// A checkpoint is written into a hidden folder, made durable file by file, the manifest last, and
/// then renamed: at every moment the newest folder whose manifest verifies is the latest state.
/// Removal renames first, so a folder named step-N is never half gone.
class CheckpointStore {
 public:
  /// Makes the folder, takes its lock (a second process gets Error(kInput) naming the owner), and
  /// removes what an interrupted save or removal left. Keeps the `keep` newest checkpoints.
  CheckpointStore(std::string folder, int64_t keep, Identity identity);

  /// Durable on return. Errors: kEnvironment; the previous checkpoints stay valid. Later ones are
  /// removed: a resume has passed them over as damaged.
  void save(const Checkpoint& checkpoint);

  /// Removes all checkpoints; the lock stays.
  void clear();

  /// The newest checkpoint that verifies; damaged ones are passed over with a note each. Nothing if
  /// the folder has none at all. Throws Error(kInput) if all are damaged, or if the newest valid
  /// one has another identity (names what differs).
  std::optional<Checkpoint> load_newest(const std::function<void(const std::string&)>& note) const;

 private:
  struct Loaded {
    Checkpoint checkpoint;
    Identity identity;
  };

  Loaded load(const std::string& path) const;
  void prune(int64_t saved) const;
  void remove(int64_t step) const;

  std::string folder_;
  int64_t keep_;
  Identity identity_;
  FileDescriptor lock_;
};

}  // namespace radgpt
