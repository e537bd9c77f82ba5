#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "libradgpt/formats/checkpoint_index.h"
#include "libradgpt/formats/tensor_file.h"

namespace radgpt {

/// How Hugging Face names the files of one format.
struct WeightSetNames {
  std::string_view single;
  std::string_view index;
  std::string_view ending;  ///< of the single file and of shards
};

constexpr WeightSetNames kSafetensorsSet{"model.safetensors", "model.safetensors.index.json",
                                         ".safetensors"};
constexpr WeightSetNames kPytorchSet{"pytorch_model.bin", "pytorch_model.bin.index.json", ".bin"};

/// The weights of a folder in one format: one file, or an index with its shards, of which every
/// tensor is in the shard that the index says, and no other. Links as WeightFolder says.
class WeightSet {
 public:
  struct Place {
    const TensorFile* file;
    const TensorInfo* tensor;
  };

  WeightSet(const std::string& folder, const WeightSetNames& names);

  /// Whether a folder holds the one file or the index.
  static bool is_in(const std::string& folder, const WeightSetNames& names);

  const std::vector<std::unique_ptr<TensorFile>>& files() const { return files_; }
  const std::map<std::string, Place>& places() const { return places_; }

 private:
  void open_single();
  void open_shards();
  const TensorFile& open_file(const std::string& name);

  std::string folder_;
  WeightSetNames names_;
  std::vector<std::unique_ptr<TensorFile>> files_;
  std::map<std::string, Place> places_;
};

}  // namespace radgpt
