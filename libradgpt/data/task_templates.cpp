#include "libradgpt/data/task_templates.h"

#include <string_view>

#include "libradgpt/base/error.h"

namespace radgpt {
namespace {

constexpr std::string_view kLabelMark = "label:";

Placeholder placeholder_of(std::string_view braced) {
  const bool label = braced.starts_with(kLabelMark);
  return {label ? braced.substr(kLabelMark.size()) : braced, label};
}

/// What is wrong with the placeholders of a template; empty if nothing is.
std::string placeholder_fault(std::string_view text) {
  for (const auto& [before, placeholder] : split_template(text)) {
    const size_t end = static_cast<size_t>(before.data() - text.data()) + before.size();
    if (!placeholder) {
      const size_t open = before.find('{');
      if (open == std::string_view::npos) continue;
      return concat("every { must be closed by a }, got { without } at byte ",
                    end - before.size() + open);
    }
    const std::string_view name = placeholder->name;
    if (name.empty() || name.find_first_of("{: \n") != std::string_view::npos) {
      return concat("a placeholder must be {FIELD} or {label:NAME}, got another at byte ", end);
    }
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

std::vector<TemplatePiece> split_template(std::string_view text) {
  std::vector<TemplatePiece> pieces;
  for (size_t open; (open = text.find('{')) != std::string_view::npos;) {
    const size_t close = text.find('}', open);
    if (close == std::string_view::npos) break;
    pieces.push_back(
        {text.substr(0, open), placeholder_of(text.substr(open + 1, close - open - 1))});
    text.remove_prefix(close + 1);
  }
  pieces.push_back({text, std::nullopt});
  return pieces;
}

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
