#include "libradgpt/data/task_templates.h"

#include <string_view>

#include "libradgpt/base/error.h"

namespace radgpt {
namespace {

constexpr std::string_view kLabelMark = "label:";

bool is_placeholder_name(std::string_view name) {
  if (name.starts_with(kLabelMark)) name.remove_prefix(kLabelMark.size());
  return !name.empty() && name.find_first_of("{: \n") == std::string_view::npos;
}

/// What is wrong with the placeholders of a template; empty if nothing is.
std::string placeholder_fault(std::string_view text) {
  for (size_t open = text.find('{'); open != std::string_view::npos;) {
    const size_t close = text.find('}', open);
    if (close == std::string_view::npos) {
      return concat("every { must be closed by a }, got { without } at byte ", open);
    }
    if (!is_placeholder_name(text.substr(open + 1, close - open - 1))) {
      return concat("a placeholder must be {FIELD} or {label:NAME}, got another at byte ", open);
    }
    open = text.find('{', close);
  }
  return "";
}

std::string answer_fault(const Task& task) {
  if (task.answer.empty()) return "must be a template, got nothing";
  const bool is_label = task.answer.starts_with(concat('{', kLabelMark)) &&
                        task.answer.find('}') == task.answer.size() - 1;
  if (task.kind == TaskKind::kClassification && !is_label) {
    return "must be a single {label:NAME} for a classification, got another template";
  }
  return placeholder_fault(task.answer);
}

}  // namespace

std::vector<TemplateFault> find_template_faults(const Task& task) {
  std::vector<TemplateFault> faults;
  const auto add = [&](const char* key, std::string rule) {
    if (!rule.empty()) faults.push_back({key, std::move(rule)});
  };
  add("context", placeholder_fault(task.context));
  add("question", placeholder_fault(task.question));
  add("answer", answer_fault(task));
  return faults;
}

}  // namespace radgpt
