#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>

#include "libradgpt/checkpoint/folder_lock.h"

namespace radgpt {

/// All that a resume needs beside recipe, base and data.
struct Checkpoint {
  enum class Mark {
    kNone,
    kBest,  ///< better than all that the run saved before
  };

  int64_t step = 0;
  Mark mark = Mark::kNone;
  double best_loss = 0.0;  ///< kept to the bit, infinity included
  std::map<std::string, int64_t> counters;
  /// For people and for notes, never compared: ranks, packs of a global batch, a device. The store
  /// adds "libtorch" and "libradgpt", their versions.
  std::map<std::string, std::string> facts;
  std::map<std::string, at::Tensor> tensors;  ///< contiguous fp32

  /// Throws Error(kInput) naming step and counter if it is not there.
  int64_t counter(const std::string& name) const;
  /// The tensor, which must have as many elements as `like`. Throws Error(kInput) otherwise.
  const at::Tensor& tensor(const std::string& name, const at::Tensor& like) const;
};

/// What a checkpoint belongs to, by name: "recipe", "base", "tokenizer", "data" → SHA-256.
using Identity = std::map<std::string, std::string>;

/// What a resume needs to find in a checkpoint.
struct CheckpointNeeds {
  std::map<std::string, int64_t> elements;  ///< of each tensor, by its name
  int64_t last_step = INT64_MAX;            ///< where the run ends
};

/// The step of the newest checkpoint in a folder, 0 without any, by its name: for those who watch a
/// run from outside. Takes no lock and verifies nothing.
int64_t newest_checkpoint(const std::string& folder);

/// The checkpoints of one run, `<folder>/step-N/`, each with `state.safetensors` and
/// `MANIFEST.json` (format version, step, mark, counters, facts, identity, size and SHA-256 of each
/// file, and a digest of itself).
///
/// A checkpoint is written into a hidden folder, made durable file by file, the manifest last, and
/// then renamed: at every moment the newest folder whose manifest verifies is the latest state.
/// Removal renames first, durably, so a folder named step-N is never half gone, after a power cut
/// neither. Files have mode 0600, folders 0700.
class CheckpointStore {
 public:
  /// Makes the folder, takes its lock (a second process gets Error(kInput) naming the owner), and
  /// removes what an interrupted save or removal left. Keeps the `keep` (at least 1) newest
  /// checkpoints and beside them the newest one that is marked best. Errors: kEnvironment where
  /// the folder cannot be written or leftovers cannot be removed.
  CheckpointStore(std::string folder, int64_t keep, Identity identity);

  /// Durable on return. Errors: kEnvironment, where the disk has less room than the tensors and a
  /// tenth need, or refuses; kNumeric for a tensor that is not finite. After an error the
  /// checkpoints from before are still there and the next save starts from nothing, so a caller may
  /// go on and try again. Later checkpoints are removed: a resume has passed them over as damaged.
  void save(const Checkpoint& checkpoint);

  /// Throws Error(kEnvironment) where the disk has less room than so many bytes of tensors and a
  /// tenth need; `file` is what they are for. Every save asks itself.
  void require_space(uint64_t tensor_bytes, const std::string& file) const;

  /// Removes all checkpoints; the lock stays.
  void clear();

  /// The newest checkpoint that verifies, is finite and has what is needed; others are passed over
  /// with a note each, and files that do not belong there are noted too. Nothing if the folder has
  /// none at all. Throws Error(kInput) if none can be used, if a later version of libradgpt wrote
  /// the newest one, or if the newest that could be used has another identity (names what differs).
  std::optional<Checkpoint> load_newest(const std::function<void(const std::string&)>& note,
                                        const CheckpointNeeds& needs = {}) const;

 private:
  void write(const Checkpoint& checkpoint, const std::string& folder) const;
  void put_in_place(const std::string& unfinished, int64_t step) const;
  void prune(int64_t saved) const;
  void set_aside(int64_t step) const;
  void sweep() const;

  std::string folder_;
  int64_t keep_;
  Identity identity_;
  FolderLock lock_;
};

}  // namespace radgpt
