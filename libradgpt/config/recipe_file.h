#pragma once

#include <map>
#include <string>
#include <vector>

#include "libradgpt/config/recipe.h"

namespace radgpt {

/// Reads a recipe, lays `overrides` ("lora.rank=16", "data.sources.0.centre=north",
/// "lora.targets=[W_pack, o_proj]") over it and checks every rule that needs no other file.
/// Where train.steps is given and train.epochs is not, epochs becomes 0.
/// Throws Error(kInput) with all faults at once: one fault as one line, several as
///   FILE: N fault(s)
///     FILE:LINE:COL: lora.dropout: must be in [0, 1), got 1.5
///     FILE:LINE:COL: unknown field lora.rnak; did you mean rank?
/// The place of a fault in an override is the override itself. Every override is checked as the
/// file is; a faulty one is Error(kInput) too.
Recipe read_recipe(const std::string& path, const std::vector<std::string>& overrides = {});

/// As read_recipe, from YAML text; `file` is the name used in messages.
Recipe parse_recipe(const std::string& text, const std::string& file,
                    const std::vector<std::string>& overrides = {});

/// What the recipe names in the file system and cannot be used, one line each: data files, base and
/// tokenizer that cannot be read, an output folder that cannot be written.
std::vector<std::string> path_faults(const Recipe& recipe);

/// Throws Error(kInput) with all of path_faults, if there are any.
void check_paths(const Recipe& recipe);

/// The recipe as YAML, every field written out. parse_recipe gives the same recipe again.
std::string write_recipe(const Recipe& recipe);

/// Field, as in an override, → value, as in a recipe.
using RecipeFields = std::map<std::string, std::string>;

/// The fields whose values are not their defaults; of the items of lists, not those of an empty
/// item.
RecipeFields changed_fields(const Recipe& recipe);

/// All fields with default, range and meaning, as plain text for --help.
std::string recipe_help();

/// The same as a Markdown table for recipes/README.md.
std::string recipe_table();

}  // namespace radgpt
