#pragma once

#include <string>
#include <vector>

#include "libradgpt/eval/metrics/score_table.h"
#include "libradgpt/eval/scores.h"

namespace radgpt {

/// Scores as JSON text for scores.json: every group with every value of every system.
std::string scores_as_json(const std::vector<ScoreGroup>& groups, const std::vector<Task>& tasks);

/// What a table has rows for, within each task.
enum class TableRows { kCentres, kModalities };

/// The headline metric: rows task × centre, or task × modality; a column for each of `systems`.
ScoreTable headline_table(const std::vector<ScoreGroup>& groups, const std::vector<Task>& tasks,
                          const std::vector<std::string>& systems, TableRows rows);

/// More about `systems`, over all reports: rows task × metric.
ScoreTable detail_table(const std::vector<ScoreGroup>& groups, const std::vector<Task>& tasks,
                        const std::vector<std::string>& systems);

/// One JSON object an item: report, task, and what each system answered (this text is what
/// predictions.jsonl is asked for).
std::string predictions_as_json_lines(const EvaluationSet& set,
                                      const std::vector<SystemAnswers>& systems);

}  // namespace radgpt
