#include "libradgpt/config/recipe_file.h"
#include "recipes/radgpt/verbs.h"

namespace radgpt {

Recipe RecipeArguments::read() const { return read_recipe(path, overrides); }

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
