#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "libradgpt/formats/safetensors.h"
#include "libradgpt/formats/tensor_file.h"

namespace radgpt {

/// model.safetensors.index.json or pytorch_model.bin.index.json: which shard holds which tensor.
struct CheckpointIndex {
  uint64_t total_size = 0;                   ///< bytes of all tensors
  std::map<std::string, std::string> shard;  ///< tensor name -> file name beside the index
};

/// Shard names are plain names of files with the ending given: letters, digits, '.', '_' and '-',
/// no leading dot, at most 128 characters, so that an index can never lead out of its folder.
CheckpointIndex read_checkpoint_index(const std::string& path,
                                      std::string_view ending = ".safetensors");
void write_checkpoint_index(const std::string& path, const CheckpointIndex& index);

/// A tensor that a model needs.
struct NamedShape {
  std::string name;
  Shape shape;
};

class WeightSet;

/// The weights of a model folder as one set of named tensors: model.safetensors, or
/// model.safetensors.index.json with its shards, or without these pytorch_model.bin, or
/// pytorch_model.bin.index.json with its shards. Files may be links inside the folder, or into the
/// blobs of the Hugging Face cache that the folder is a snapshot of; links elsewhere are refused.
/// All Errors are kInput and name the file and the tensor or key. One thread at a time.
///
/// A folder may hold both sets if they are the same: names, types and shapes are compared when it
/// is opened (rotary_emb.inv_freq aside), and the bytes of each tensor that is read from the
/// safetensors in order, with its last piece: by CRC-32, which a PyTorch file lists.
class WeightFolder {
 public:
  explicit WeightFolder(const std::string& folder);
  ~WeightFolder();

  const std::string& folder() const { return folder_; }
  /// All names in the order of files and their bytes, which is the fastest to read in.
  std::vector<std::string> names() const;
  /// Null if there is none of that name.
  const TensorInfo* find(const std::string& name) const;
  /// As TensorFile::read, for the tensor of that name, which must exist.
  void read(const std::string& name, std::span<std::byte> into, uint64_t from = 0) const;

  /// Throws unless the folder holds exactly these tensors (keys of rotary_emb.inv_freq, which
  /// older exports carry, do not count) in these shapes, each BF16, F16 or F32. The message names
  /// the first fault and says how many there are of its kind.
  void expect(const std::vector<NamedShape>& tensors) const;

  /// Reads all weights and throws at the first NaN or infinity.
  void require_finite() const;

 private:
  void compare_descriptions() const;
  void compare_bytes(const std::string& name, std::span<const std::byte> bytes,
                     uint64_t from) const;

  /// The CRC-32 of a tensor's first `bytes` bytes.
  struct Summed {
    uint64_t bytes = 0;
    uint32_t crc32 = 0;
  };

  std::string folder_;
  std::unique_ptr<WeightSet> weights_;
  std::unique_ptr<WeightSet> twin_;  ///< PyTorch files beside safetensors
  mutable std::map<std::string, Summed> summed_;
};

/// Takes the next bytes of what is being written.
using ByteSink = std::function<void(std::span<const std::byte>)>;

/// Gives all bytes of the tensor of that index to `sink`, in pieces of any size.
using TensorSource = std::function<void(size_t index, const ByteSink& sink)>;

/// Writes what WeightFolder reads: model.safetensors, or, where that would be larger than
/// `max_shard_bytes`, shards of at most that size (unless one tensor is larger) with
/// model.safetensors.index.json. Asks `source` for every tensor once, in order. Makes the folder if
/// absent. Throws Error(kEnvironment), and kInput where a tensor's bytes are not those of its
/// shape.
void write_weight_folder(const std::string& folder, const std::vector<TensorSpec>& tensors,
                         int64_t max_shard_bytes, const TensorSource& source);

}  // namespace radgpt
