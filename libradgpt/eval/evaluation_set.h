#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "libradgpt/data/corpus.h"
#include "libradgpt/data/tokenizer.h"

namespace radgpt {

/// One question about a held-out report, as a model is asked it.
struct EvaluationItem {
  int task = 0;
  int report = 0;                    ///< index in the part's reports
  const Example* example = nullptr;  ///< context and reference answer
  std::vector<int32_t> prompt;       ///< ends with the assistant token
};

/// What became of the held-out reports in one task.
struct TaskCounts {
  int64_t items = 0;     ///< asked
  int64_t too_long = 0;  ///< drawn, but do not fit the model even with a shortened context
  int64_t unlisted = 0;  ///< in the whole part: the report's label is none of the task's labels
};

/// The held-out examples of the tasks. `part` and `tasks` outlive it.
struct EvaluationSet {
  const CorpusPart& part;
  const std::vector<Task>& tasks;
  std::vector<EvaluationItem> items;  ///< by report, then task
  /// Ids of every label of a classification: label_ids[task][label].
  std::vector<std::vector<std::vector<int32_t>>> label_ids;
  std::vector<TaskCounts> counts;  ///< by task

  const Report& report(const EvaluationItem& item) const { return part.reports[item.report]; }
  const Task& task(const EvaluationItem& item) const { return tasks[item.task]; }
  bool classifies(const EvaluationItem& item) const {
    return task(item).kind == TaskKind::kClassification;
  }
};

/// Which held-out reports are asked about.
struct EvaluationSetOptions {
  /// Of prompt and reference answer; a context that is too long for it is shortened.
  int32_t max_tokens = 4096;
  /// Reports drawn from those with an example: the ones with the smallest SHA-256 of salt, id and
  /// patient, so that order and number of files do not matter. 0: all.
  int64_t limit = 0;
  std::string salt = {};
  std::optional<int> task = {};  ///< ask this one alone
};

/// Chooses the reports and makes the prompts. Examples that do not fit are counted, not asked.
EvaluationSet make_evaluation_set(const CorpusPart& part, const std::vector<Task>& tasks,
                                  const Tokenizer& tokenizer, const EvaluationSetOptions& options);

}  // namespace radgpt
