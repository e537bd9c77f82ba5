#pragma once

#include <string>
#include <utility>
#include <vector>

namespace radgpt {

/// A label of a closed list, or free text.
enum class TaskKind { kClassification, kGeneration };

/// What the model is asked about a report. A task is data, from the recipe.
///
/// `context`, `question` and `answer` are templates: `{findings}` stands for a text field of the
/// report, `{label:NAME}` for a label, `{modality}` and `{centre}` for those. A report that lacks
/// a field a task names, or whose label is not in `labels`, gives no example of the task.
/// The report's text belongs into `context`: examples of a report with equal context share its
/// computation (the question comes after it, see Pack).
struct Task {
  std::string name;
  TaskKind kind = TaskKind::kGeneration;
  std::string context;
  std::string question;
  std::string answer;
  /// Classification: the closed list, in order, as (value in the data, answer of the model).
  std::vector<std::pair<std::string, std::string>> labels;
  /// How much a token of its answers counts in the loss.
  double weight = 1;
};

/// The four RadGPT tasks: two classifications of the findings, summary, expansion.
std::vector<Task> default_tasks();

}  // namespace radgpt
