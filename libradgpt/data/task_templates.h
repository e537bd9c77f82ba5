#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "libradgpt/data/task.h"

namespace radgpt {

/// What stands in braces in a template: {FIELD} or {label:NAME}.
struct Placeholder {
  std::string_view name;  ///< FIELD or NAME
  bool label = false;
};

/// A piece of a template: text, and the placeholder behind it, none at the template's end.
struct TemplatePiece {
  std::string_view text;
  std::optional<Placeholder> placeholder;
};

/// Views of a template, sound or not: a brace that is never closed is text.
std::vector<TemplatePiece> split_template(std::string_view text);

/// A template of a task that no report can fill.
struct TemplateFault {
  std::string key;   ///< context, question or answer
  std::string rule;  ///< what it must be, and what it is
};

/// At most one for each template; the task's labels are not looked at.
std::vector<TemplateFault> find_template_faults(const Task& task);

}  // namespace radgpt
