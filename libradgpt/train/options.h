#pragma once

#include "libradgpt/config/recipe.h"
#include "libradgpt/data/corpus.h"
#include "libradgpt/data/packing.h"
#include "libradgpt/lora/adapter.h"
#include "libradgpt/optim/adamw.h"
#include "libradgpt/optim/learning_rate.h"

namespace radgpt {

// What the parts of a run are told, out of the recipe: the one place where a recipe's groups meet
// the options of data, lora and optim, which know nothing of recipes.

CorpusOptions corpus_options(const Recipe& recipe);
LengthOptions length_options(const Recipe& recipe);
PackingOptions packing_options(const Recipe& recipe);
LoraOptions lora_options(const Recipe& recipe);
AdamWOptions optimizer_options(const Recipe& recipe);
Schedule learning_rate_schedule(const Recipe& recipe);

}  // namespace radgpt
