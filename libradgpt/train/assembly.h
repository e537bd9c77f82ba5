#pragma once

#include <c10/core/ScalarType.h>

#include <memory>
#include <string>

#include "libradgpt/config/recipe.h"
#include "libradgpt/data/corpus.h"
#include "libradgpt/data/tokenizer.h"
#include "libradgpt/model/baichuan.h"

namespace radgpt {

/// The parts of a run folder (design, section 5).
struct RunFolder {
  std::string path;

  std::string recipe() const { return path + "/recipe.yaml"; }
  std::string manifest() const { return path + "/manifest.json"; }
  std::string checkpoints() const { return path + "/checkpoints"; }
  std::string adapter() const { return path + "/adapter"; }  ///< of an adapter run
  std::string model() const { return path + "/model"; }      ///< of a full-parameter run
  std::string predictions() const { return path + "/predictions.jsonl"; }
  std::string scores() const { return path + "/scores.json"; }
  std::string calibration() const { return path + "/calibration.json"; }
  std::string summary() const { return path + "/summary.md"; }
};

/// The tokenizer a recipe names, that of its base, or (random initialisation) one trained from the
/// training texts of `corpus`.
Tokenizer make_tokenizer(const Recipe& recipe, const Corpus& corpus);

/// The type of weights and products: what the recipe says, or the processor's native one.
at::ScalarType model_type(const Recipe& recipe);

/// The base: loaded from model.path, or freshly initialised. Throws Error(kInput) if its vocabulary
/// is not the tokenizer's.
std::unique_ptr<Baichuan> make_model(const Recipe& recipe, const Tokenizer& tokenizer);

/// Sets the number of threads that LibTorch uses, as the recipe says, and returns it. To be called
/// before anything is computed: it also bounds what the process keeps of compiled products.
int set_threads(const Recipe& recipe);

}  // namespace radgpt
