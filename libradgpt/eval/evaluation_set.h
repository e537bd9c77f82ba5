#pragma once

#include <cstdint>
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

/// The held-out examples of the tasks. `part` and `tasks` outlive it.
struct EvaluationSet {
  const CorpusPart& part;
  const std::vector<Task>& tasks;
  std::vector<EvaluationItem> items;  ///< by report, then task
  /// Ids of every label of a classification: label_ids[task][label].
  std::vector<std::vector<std::vector<int32_t>>> label_ids;
  int64_t left_out = 0;  ///< examples that do not fit the model even with a shortened context

  const Report& report(const EvaluationItem& item) const { return part.reports[item.report]; }
  const Task& task(const EvaluationItem& item) const { return tasks[item.task]; }
  bool classifies(const EvaluationItem& item) const {
    return task(item).kind == TaskKind::kClassification;
  }
};

/// The first `limit` reports of the part (0: all). A context that is too long is shortened, so
/// that prompt and reference answer fit into `max_tokens`.
EvaluationSet make_evaluation_set(const CorpusPart& part, const std::vector<Task>& tasks,
                                  const Tokenizer& tokenizer, int32_t max_tokens, int64_t limit);

}  // namespace radgpt
