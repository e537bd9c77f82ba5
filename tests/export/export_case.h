#pragma once

#include <torch/types.h>

#include <map>
#include <string>

#include "libradgpt/export/export_model.h"
#include "libradgpt/formats/checkpoint_index.h"
#include "libradgpt/formats/model_config.h"
#include "tests/base/temporary_folder.h"

namespace radgpt {

using Weights = std::map<std::string, at::Tensor>;

/// A model whose columns are multiples of 32, with the small tokenizer's vocabulary.
ModelConfig export_config(PositionKind position, int64_t layers = 2,
                          DataType dtype = DataType::kF32);

/// A folder with `base`, random weights of that shape and type with a tokenizer, and `adapter`, all
/// five linears adapted; and by formula, in double precision, what they are together.
class ExportCase {
 public:
  explicit ExportCase(const ModelConfig& config);

  const TemporaryFolder& folder() const { return folder_; }
  const ModelConfig& config() const { return config_; }
  std::string base() const { return folder_.file("base"); }
  std::string out() const { return folder_.file("out"); }
  /// Options to merge adapter and base into `out`.
  ExportOptions options(ExportLayout layout = ExportLayout::kBaichuan) const;

  /// W + scale B A under Baichuan2's names, with lm_head's rows of length 1.
  Weights merged() const;
  /// The base alone, likewise.
  Weights plain() const;

  /// Writes the base's weights again after a change.
  void change_base(const std::string& name, double value) const;

 private:
  void write_base() const;
  void write_adapter() const;

  TemporaryFolder folder_;
  ModelConfig config_;
  Weights weights_;  ///< as stored in the base
};

/// All tensors of a folder, in double precision.
Weights read_weights(const std::string& folder);

/// The text of a file.
std::string read_text(const std::string& path);

}  // namespace radgpt
