#pragma once

#include "libradgpt/config/faults.h"
#include "libradgpt/config/reader.h"
#include "libradgpt/config/recipe.h"

namespace radgpt {

/// Checks what fields demand of each other, and settles train.epochs where train.steps is given.
/// Fields that are not given have faults reported at `root`.
void check_rules(const YamlNode& root, const GivenFields& given, Recipe& recipe, Faults& faults);

}  // namespace radgpt
