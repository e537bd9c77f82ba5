#include "libradgpt/data/example.h"

#include <algorithm>
#include <string_view>

#include "libradgpt/base/error.h"

namespace radgpt {
namespace {

constexpr std::string_view kLabelMark = "label:";

[[noreturn]] void refuse(const Task& task, std::string_view key, std::string_view rule,
                         std::string_view got) {
  fail(ErrorKind::kInput, "task ", task.name, ": ", key, ": ", rule, ", got ", got);
}

/// The value a placeholder stands for, or nothing if the report lacks it.
const std::string* find_value(const Report& report, std::string_view name) {
  if (name == "modality") return report.modality.empty() ? nullptr : &report.modality;
  if (name == "centre") return report.centre.empty() ? nullptr : &report.centre;
  const bool is_label = name.substr(0, kLabelMark.size()) == kLabelMark;
  const auto& fields = is_label ? report.labels : report.texts;
  const auto found = fields.find(std::string(is_label ? name.substr(kLabelMark.size()) : name));
  return found == fields.end() ? nullptr : &found->second;
}

bool is_placeholder_name(std::string_view name) {
  if (name.substr(0, kLabelMark.size()) == kLabelMark) name.remove_prefix(kLabelMark.size());
  return !name.empty() && name.find_first_of("{: \n") == std::string_view::npos;
}

/// One of the task's templates, `key` naming it in messages.
struct Template {
  const Task& task;
  std::string_view key;
  std::string_view text;

  /// The text with the report's values, or nothing if the report lacks one. All placeholders are
  /// checked even then, so that a bad template never depends on the data.
  std::optional<std::string> fill(const Report& report) const {
    std::string filled;
    bool complete = true;
    std::string_view rest = text;
    for (size_t open; (open = rest.find('{')) != std::string_view::npos;) {
      const size_t close = rest.find('}', open);
      if (close == std::string_view::npos) {
        refuse(task, key, "every { must be closed by a }",
               concat("{ without } at byte ", rest.data() + open - text.data()));
      }
      const std::string_view name = rest.substr(open + 1, close - open - 1);
      if (!is_placeholder_name(name)) {
        refuse(task, key, "a placeholder must be {FIELD} or {label:NAME}", concat('{', name, '}'));
      }
      const std::string* value = find_value(report, name);
      complete = complete && value != nullptr;
      filled.append(rest.substr(0, open));
      if (value != nullptr) filled.append(*value);
      rest.remove_prefix(close + 1);
    }
    filled.append(rest);
    if (!complete) return std::nullopt;
    return filled;
  }
};

/// Puts the answer to a closed list of labels into `example`; false if the value is not in it.
bool set_label(const Task& task, const std::string& value, Example& example) {
  const auto found = std::find_if(task.labels.begin(), task.labels.end(),
                                  [&](const auto& label) { return label.first == value; });
  if (found == task.labels.end()) return false;
  example.label = static_cast<int>(found - task.labels.begin());
  example.answer = found->second;
  return true;
}

void check_answer_template(const Task& task) {
  if (task.answer.empty()) refuse(task, "answer", "must be a template", "nothing");
  if (task.kind != TaskKind::kClassification) return;
  const std::string open = concat('{', kLabelMark);
  if (task.answer.compare(0, open.size(), open) != 0 ||
      task.answer.find('}') != task.answer.size() - 1) {
    refuse(task, "answer", "must be a single {label:NAME} for a classification", task.answer);
  }
  if (task.labels.size() < 2) {
    refuse(task, "labels", "must list two labels or more for a classification",
           std::to_string(task.labels.size()));
  }
}

}  // namespace

std::optional<Example> make_example(const Report& report, const Task& task) {
  check_answer_template(task);
  const auto context = Template{task, "context", task.context}.fill(report);
  const auto question = Template{task, "question", task.question}.fill(report);
  const auto answer = Template{task, "answer", task.answer}.fill(report);
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

std::vector<Example> make_examples(const std::vector<Report>& reports,
                                   const std::vector<Task>& tasks) {
  std::vector<Example> examples;
  for (size_t report = 0; report < reports.size(); ++report) {
    for (size_t task = 0; task < tasks.size(); ++task) {
      auto example = make_example(reports[report], tasks[task]);
      if (!example) continue;
      example->report = static_cast<int>(report);
      example->task = static_cast<int>(task);
      examples.push_back(std::move(*example));
    }
  }
  return examples;
}

}  // namespace radgpt
