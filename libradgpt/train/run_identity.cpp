#include "libradgpt/train/run_identity.h"

#include <algorithm>
#include <filesystem>
#include <iterator>
#include <set>
#include <vector>

#include "libradgpt/base/error.h"
#include "libradgpt/base/hash.h"
#include "libradgpt/checkpoint/checkpoint_store.h"
#include "libradgpt/config/recipe_file.h"

namespace radgpt {

namespace {

/// The fields that decide what a run computes, where they differ from their defaults: so that a
/// field that a later version adds leaves the identity of earlier runs as it is. Files have
/// identities of their own, by content.
RecipeFields deciding_fields(Recipe recipe) {
  recipe.output = {};
  recipe.evaluate = {};
  recipe.train.threads = 0;
  recipe.train.save_every = 0;
  recipe.train.save_minutes = 0;
  recipe.train.keep_checkpoints = TrainRecipe().keep_checkpoints;
  recipe.train.keep_best = false;
  const ReductionChoice reduction = recipe.distributed.reduction;
  recipe.distributed = {};  // ranks, their network and where the base lies change no bit
  recipe.distributed.reduction = reduction;
  recipe.model.path.clear();
  recipe.model.tokenizer.clear();
  recipe.model.check_finite = false;
  for (SourceRecipe& source : recipe.data.sources) {
    for (auto* files : {&source.train, &source.validation, &source.test, &source.reports}) {
      files->assign(files->size(), "");  // how many there are, and for which split
    }
  }
  return changed_fields(recipe);
}

}  // namespace

std::string recipe_digest(const Recipe& recipe) {
  Sha256 digest;
  for (const auto& [path, value] : deciding_fields(recipe)) {
    digest.update(concat(path, ": ", value, "\n"));
  }
  return to_hex(digest.finish());
}

void check_resumed_recipe(const Recipe& recipe, const RunFolder& folder) {
  if (newest_checkpoint(folder.checkpoints()) == 0 || !std::filesystem::exists(folder.recipe()))
    return;
  RecipeFields earlier;
  try {
    earlier = deciding_fields(read_recipe(folder.recipe()));
  } catch (const Error&) {
    return;  // of another version; its digest says whether it is the same
  }
  const RecipeFields now = deciding_fields(recipe);
  std::vector<RecipeFields::value_type> pairs;
  std::set_symmetric_difference(earlier.begin(), earlier.end(), now.begin(), now.end(),
                                std::back_inserter(pairs));
  std::set<std::string> differing;
  for (const auto& [path, value] : pairs) differing.insert(path);
  if (differing.empty()) return;
  std::string names;
  for (const std::string& name : differing) names += (names.empty() ? "" : ", ") + name;
  fail(ErrorKind::kInput, folder.recipe(), ": ", names,
       ": must be as in the run that is resumed, got another value; output.existing=overwrite "
       "trains anew");
}

}  // namespace radgpt
