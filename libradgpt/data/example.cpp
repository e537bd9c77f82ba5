#include "libradgpt/data/example.h"

#include <algorithm>
#include <string_view>

#include "libradgpt/base/error.h"
#include "libradgpt/data/task_templates.h"

namespace radgpt {
namespace {

/// The value a placeholder stands for, or nothing if the report lacks it.
const std::string* find_value(const Report& report, const Placeholder& placeholder) {
  const auto& [name, label] = placeholder;
  if (!label && name == "modality") return report.modality.empty() ? nullptr : &report.modality;
  if (!label && name == "centre") return report.centre.empty() ? nullptr : &report.centre;
  const auto& fields = label ? report.labels : report.texts;
  const auto found = fields.find(std::string(name));
  return found == fields.end() ? nullptr : &found->second;
}

/// A sound template with the report's values, or nothing if the report lacks one.
std::optional<std::string> fill(std::string_view text, const Report& report) {
  std::string filled;
  for (const auto& [before, placeholder] : split_template(text)) {
    filled.append(before);
    if (!placeholder) break;
    const std::string* value = find_value(report, *placeholder);
    if (value == nullptr) return std::nullopt;
    filled.append(*value);
  }
  return filled;
}

/// Puts the answer to a closed list of labels into `example`; false if the value is not in it.
bool set_label(const Task& task, const std::string& value, Example& example) {
  const auto found = std::find_if(task.labels.begin(), task.labels.end(),
                                  [&](const auto& label) { return label.first == value; });
  if (found == task.labels.end()) return false;
  example.label = static_cast<int>(found - task.labels.begin());
  example.answer = found->second;
  return true;
}

/// Done even where the report lacks a field, so that a bad template never depends on the data.
void check_task(const Task& task) {
  const std::vector<TemplateFault> faults = find_template_faults(task);
  if (!faults.empty()) {
    const auto& [key, rule] = faults.front();
    fail(ErrorKind::kInput, "task ", task.name, ": ", key, ": ", rule);
  }
  require(task.kind != TaskKind::kClassification || task.labels.size() >= 2, "task ", task.name,
          ": labels: must list two labels or more for a classification, got ", task.labels.size());
}

/// make_example of a checked task.
std::optional<Example> fill_example(const Report& report, const Task& task) {
  const auto context = fill(task.context, report);
  const auto question = fill(task.question, report);
  const auto answer = fill(task.answer, report);
  if (!context || !question || !answer) return std::nullopt;
  Example example;
  example.context = *context;
  example.question = *question;
  example.answer = *answer;
  example.weight = task.weight;
  if (task.kind == TaskKind::kClassification && !set_label(task, *answer, example)) {
    return std::nullopt;
  }
  return example;
}

}  // namespace

std::optional<Example> make_example(const Report& report, const Task& task) {
  check_task(task);
  return fill_example(report, task);
}

std::vector<Example> make_examples(const std::vector<Report>& reports,
                                   const std::vector<Task>& tasks) {
  for (const Task& task : tasks) check_task(task);
  std::vector<Example> examples;
  for (size_t report = 0; report < reports.size(); ++report) {
    for (size_t task = 0; task < tasks.size(); ++task) {
      auto example = fill_example(reports[report], tasks[task]);
      if (!example) continue;
      example->report = static_cast<int>(report);
      example->task = static_cast<int>(task);
      examples.push_back(std::move(*example));
    }
  }
  return examples;
}

}  // namespace radgpt
