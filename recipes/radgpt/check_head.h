#pragma once

#include "libradgpt/config/recipe.h"

namespace radgpt {

/// Throws Error(kInput) unless train.head is the name of a head.
void check_head(const Recipe& recipe);

}  // namespace radgpt
