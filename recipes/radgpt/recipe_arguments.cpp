#include <algorithm>

#include "libradgpt/base/error.h"
#include "libradgpt/config/recipe_file.h"
#include "libradgpt/config/scalar.h"
#include "libradgpt/heads/head.h"
#include "recipes/radgpt/check_head.h"
#include "recipes/radgpt/verbs.h"

namespace radgpt {

void check_head(const Recipe& recipe) {
  const std::vector<std::string> names = head_names();
  std::string known;
  for (const std::string& name : names) known += (known.empty() ? "" : ", ") + name;
  require(std::count(names.begin(), names.end(), recipe.train.head) > 0, recipe.file,
          ": train.head: must be one of ", known, ", got ", quoted_for_message(recipe.train.head));
}

Recipe RecipeArguments::read() const {
  Recipe recipe = read_recipe(path, overrides);
  check_head(recipe);
  return recipe;
}

std::shared_ptr<RecipeArguments> add_recipe_arguments(CLI::App& verb) {
  auto arguments = std::make_shared<RecipeArguments>();
  verb.add_option("RECIPE", arguments->path, "YAML file that says everything about the run")
      ->required();
  verb.add_option("FIELD=VALUE", arguments->overrides,
                  "changes of single fields, such as lora.rank=16 or "
                  "lora.targets=[W_pack, o_proj]; `radgpt train --help` lists all fields");
  return arguments;
}

}  // namespace radgpt
