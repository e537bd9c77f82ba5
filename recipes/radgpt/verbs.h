#pragma once

#include <CLI/CLI.hpp>
#include <memory>
#include <string>
#include <vector>

#include "libradgpt/config/recipe.h"

namespace radgpt {

// The verbs of the executable, one file each. A verb adds itself to the command line and does its
// work in the callback of its subcommand; it throws Error, and main turns that into a line on
// stderr and an exit code. Results go to stdout, progress and notes to stderr.

void add_train(CLI::App& app);
void add_launch(CLI::App& app);
void add_evaluate(CLI::App& app);
void add_generate(CLI::App& app);
void add_simulate(CLI::App& app);
void add_prepare(CLI::App& app);
void add_tokens(CLI::App& app);
void add_merge(CLI::App& app);
void add_convert(CLI::App& app);
void add_recipes(CLI::App& app);
void add_plan(CLI::App& app);

/// RECIPE [FIELD=VALUE …] on the command line of a verb.
struct RecipeArguments {
  std::string path;
  std::vector<std::string> overrides;

  /// The recipe with the arguments laid over it. Throws Error(kInput).
  Recipe read() const;
};

/// Adds both to `verb`; filled when the command line has been parsed.
std::shared_ptr<RecipeArguments> add_recipe_arguments(CLI::App& verb);

}  // namespace radgpt
