#pragma once

#include <functional>
#include <string>
#include <vector>

#include "libradgpt/config/recipe.h"
#include "libradgpt/eval/scores.h"

namespace radgpt {

/// What an evaluation found; the tables of score_report.h are made from it.
struct EvaluationResult {
  std::vector<ScoreGroup> groups;
  /// Names of all systems in the order of columns: baselines, base, adapter (or model).
  std::vector<std::string> systems;
  std::vector<std::string> notes;  ///< what is not scored and why, a line each
};

/// Called with what is being done and how far it is.
using EvaluationProgress =
    std::function<void(const std::string& activity, int64_t done, int64_t of)>;

/// Scores what the run of this recipe left in its folder on held-out reports (evaluate.split), side
/// by side with the base and with baselines, and writes predictions.jsonl, scores.json, the fitted
/// temperatures (calibration.json) and the section Scores of summary.md there. With
/// train.head_task that task alone is scored, and the base is left out, for it has no head.
/// Throws Error(kInput) if the folder has no result, if the run was made from other data, tasks,
/// base or tokenizer, and if a held-out text stands in an earlier split.
EvaluationResult run_evaluation(const Recipe& recipe, const EvaluationProgress& progress);

}  // namespace radgpt
