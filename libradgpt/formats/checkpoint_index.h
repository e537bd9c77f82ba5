#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "libradgpt/formats/safetensors.h"

namespace radgpt {

/// model.safetensors.index.json: which shard holds which tensor.
struct CheckpointIndex {
  uint64_t total_size = 0;                   ///< bytes of all tensors
  std::map<std::string, std::string> shard;  ///< tensor name -> file name beside the index
};

/// Shard names are plain names of safetensors files: letters, digits, '.', '_' and '-', no leading
/// dot, at most 128 characters, so that an index can never lead out of its folder.
CheckpointIndex read_checkpoint_index(const std::string& path);
void write_checkpoint_index(const std::string& path, const CheckpointIndex& index);

/// A tensor that a model needs.
struct NamedShape {
  std::string name;
  Shape shape;
};

/// The weights of a model folder as one set of named tensors: model.safetensors, or
/// model.safetensors.index.json with its shards. Files may be links inside the folder, or into the
/// blobs of the Hugging Face cache that the folder is a snapshot of; links elsewhere are refused.
/// All Errors are kInput and name the file and the tensor or key.
class WeightFolder {
 public:
  explicit WeightFolder(const std::string& folder);

  const std::string& folder() const { return folder_; }
  /// All names, ascending.
  std::vector<std::string> names() const;
  /// Null if there is none of that name.
  const TensorInfo* find(const std::string& name) const;
  /// As SafetensorsFile::read, for the tensor of that name, which must exist.
  void read(const std::string& name, std::span<std::byte> into, uint64_t from = 0) const;

  /// Throws unless the folder holds exactly these tensors (keys of rotary_emb.inv_freq, which
  /// older exports carry, do not count) in these shapes, each BF16, F16 or F32. The message names
  /// the first fault and says how many there are of its kind.
  void expect(const std::vector<NamedShape>& tensors) const;

  /// Reads all weights and throws at the first NaN or infinity.
  void require_finite() const;

 private:
  struct Place {
    const SafetensorsFile* file;
    const TensorInfo* tensor;
  };

  void open_single();
  void open_shards();
  const SafetensorsFile& open_file(const std::string& name);
  void check_other_format() const;

  std::string folder_;
  std::vector<std::unique_ptr<SafetensorsFile>> files_;
  std::map<std::string, Place> places_;
};

}  // namespace radgpt
