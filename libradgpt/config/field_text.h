#pragma once

#include <string>
#include <vector>

#include "libradgpt/config/field.h"

namespace radgpt {

/// What a field accepts, as in "must be …": "a whole number in [1, 64]", "one of fp32, bf16".
std::string accepted_text(const FieldValue& value);

/// One line about one field.
struct FieldLine {
  std::string path;           ///< "lora.rank"; of an item of a list "tasks.N.name"
  std::string default_value;  ///< as a recipe writes it; "required" if there is none
  std::string accepted;       ///< accepted_text
  std::string meaning;
};

/// A line for each group and each field of a recipe, in order. A group has no `default_value`.
std::vector<FieldLine> recipe_field_lines();

}  // namespace radgpt
