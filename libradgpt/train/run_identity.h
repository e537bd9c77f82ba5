#pragma once

#include <string>

#include "libradgpt/config/recipe.h"
#include "libradgpt/train/assembly.h"

namespace radgpt {

/// SHA-256 over the fields of a recipe that decide what a run computes, and are not their defaults.
/// `output`, `evaluate`, threads, checkpoints, ranks and their network, and names of files may
/// change: what base, tokenizer and data hold has digests of its own.
std::string recipe_digest(const Recipe& recipe);

/// Throws Error(kInput) naming the fields in which a run that has left checkpoints in `folder` and
/// a recipe that is to go on with it differ. A recipe there that cannot be read, of another version
/// say, is left to recipe_digest.
void check_resumed_recipe(const Recipe& recipe, const RunFolder& folder);

}  // namespace radgpt
