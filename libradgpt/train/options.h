#pragma once

#include "libradgpt/config/recipe.h"
#include "libradgpt/data/corpus.h"
#include "libradgpt/data/packing.h"
#include "libradgpt/distributed/communicator.h"
#include "libradgpt/lora/adapter.h"
#include "libradgpt/optim/adamw.h"
#include "libradgpt/optim/learning_rate.h"

namespace radgpt {

/// @file
/// What the parts of a run are told, out of the recipe: the one place where a recipe's groups meet
/// the options of data, lora and optim, which know nothing of recipes.

/// From `data` and `tasks`.
CorpusOptions corpus_options(const Recipe& recipe);
/// From `data`, and what a pack and the model have room for.
LengthOptions length_options(const Recipe& recipe);
/// From `train`.
PackingOptions packing_options(const Recipe& recipe);
/// From `lora` and `optim.loraplus_ratio`.
LoraOptions lora_options(const Recipe& recipe);
/// From `optim`.
AdamWOptions optimizer_options(const Recipe& recipe);
/// From `distributed` and, for tensors, `model.device`.
CommunicatorOptions communicator_options(const Recipe& recipe);
/// From `optim.schedule`.
Schedule learning_rate_schedule(const Recipe& recipe);

}  // namespace radgpt
