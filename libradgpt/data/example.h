#pragma once

#include <optional>
#include <string>
#include <vector>

#include "libradgpt/data/report.h"
#include "libradgpt/data/task.h"

namespace radgpt {

/// A report seen through a task: the user message is `context`, a newline and `question`, the
/// assistant's message is `answer`.
struct Example {
  int task = 0;    ///< index in the list of tasks
  int report = 0;  ///< index in the list of reports; examples of one report stand together
  std::string context;
  std::string question;
  std::string answer;
  int label = -1;     ///< classification: index in Task::labels
  double weight = 1;  ///< as in Task
};

/// The example, or nothing if the report lacks a field or label that the task names.
/// Throws Error(kInput) for a template with an unknown or unclosed placeholder.
std::optional<Example> make_example(const Report& report, const Task& task);

/// All examples of all reports, in the order of reports, then tasks.
std::vector<Example> make_examples(const std::vector<Report>& reports,
                                   const std::vector<Task>& tasks);

}  // namespace radgpt
