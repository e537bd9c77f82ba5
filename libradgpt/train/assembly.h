#pragma once

#include <c10/core/ScalarType.h>

#include <memory>
#include <optional>
#include <string>

#include "libradgpt/config/recipe.h"
#include "libradgpt/data/corpus.h"
#include "libradgpt/data/tokenizer.h"
#include "libradgpt/distributed/communicator.h"
#include "libradgpt/heads/head.h"
#include "libradgpt/lora/adapter.h"
#include "libradgpt/model/baichuan.h"

namespace radgpt {

/// The parts of a run folder (design, section 5).
struct RunFolder {
  std::string path;

  std::string recipe() const { return path + "/recipe.yaml"; }
  std::string manifest() const { return path + "/manifest.json"; }
  std::string checkpoints() const { return path + "/checkpoints"; }
  std::string record() const { return path + "/run.jsonl"; }
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

/// Type of weights and products: what the recipe says, or the native type of its device, which need
/// not be here. Throws Error(kInput) for fp32 on a GPU.
at::ScalarType model_type(const Recipe& recipe);

/// The same with the device: what the recipe says, or a GPU if there is one. Throws
/// Error(kEnvironment) for a GPU that is not there.
at::TensorOptions model_options(const Recipe& recipe);

/// Throws Error(kEnvironment) if the weights that a run is certain to hold (training_memory's
/// weights and border, on each of its ranks of this machine) are more than the machine, or the
/// control group of a container, has. For processors; a GPU says so itself.
void require_memory(const Recipe& recipe, const ModelConfig& model, const Communicator& ranks);

/// The base: loaded from model.path, or freshly initialised. Throws Error(kInput) if its vocabulary
/// is not the tokenizer's, if its folder holds another tokenizer than the recipe names, if it
/// takes fewer tokens than model.max_length, and, with model.check_finite, if a weight is not
/// finite. With distributed.base sharded it is divided over `ranks`, if given.
std::unique_ptr<Baichuan> make_model(const Recipe& recipe, const Tokenizer& tokenizer,
                                     const LoadProgress& progress = {},
                                     Communicator* ranks = nullptr);

/// Type of weights and products as a manifest calls it: bf16, fp32.
std::string type_name(const Baichuan& model);

/// Index of train.head_task among the tasks; nothing where the model answers all tasks itself.
std::optional<int> find_head_task(const Recipe& recipe);

/// What the recipe's head is made from, as far as it does not depend on examples.
HeadContext head_context(const Recipe& recipe, const Baichuan& model);

/// The adapter that a run of the recipe has left in `folder`, on its base, with its head.
class AdaptedModel {
 public:
  /// Throws Error(kInput) as make_head, read_adapter_config and Adapter::load do: the folder must
  /// have exactly the parameters of adapter and head. The base must outlive this.
  AdaptedModel(Baichuan& base, const Recipe& recipe, const std::string& folder);

  /// Answers train.head_task, that alone; null where the model answers all tasks itself.
  const Head* classifier() const { return classifies_ ? head_.get() : nullptr; }

 private:
  ParameterStore store_;
  std::unique_ptr<Adapter> adapter_;
  std::unique_ptr<Head> head_;
  bool classifies_;
};

/// Sets the number of threads that LibTorch uses, as the recipe says, and returns it; without a
/// word of the recipe or the environment, ranks of one machine share its processors. To be called
/// before anything is computed: it also bounds what the process keeps of compiled products.
int set_threads(const Recipe& recipe, int ranks_on_machine = 1);

/// The GPU that a rank computes on: that of its number on its machine. Throws Error(kEnvironment)
/// if there are fewer. Nothing where the recipe computes on processors.
void choose_gpu(const Recipe& recipe, int local_rank);

}  // namespace radgpt
