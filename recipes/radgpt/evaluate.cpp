#include <iostream>

#include "libradgpt/base/error.h"
#include "libradgpt/config/recipe_file.h"
#include "libradgpt/distributed/rank_environment.h"
#include "libradgpt/eval/score_report.h"
#include "libradgpt/train/evaluation.h"
#include "recipes/radgpt/progress.h"
#include "recipes/radgpt/verbs.h"

namespace radgpt {

namespace {

void evaluate(const Recipe& recipe) {
  if (const RankEnvironment ranks = read_rank_environment(); ranks.size > 1) {
    fail(ErrorKind::kUsage, "evaluate: must be started once, got rank ", ranks.rank, " of ",
         ranks.size);
  }
  check_paths(recipe);
  Progress progress;
  const EvaluationResult result =
      run_evaluation(recipe, [&progress](const std::string& activity, int64_t done, int64_t of) {
        progress.show(activity, done, of);
      });
  for (const std::string& note : result.notes) progress.on_note(note);
  const auto table_of = [&](TableRows rows) {
    return headline_table(result.groups, recipe.tasks, result.systems, rows).as_text();
  };
  std::cout << "\n" << table_of(TableRows::kModalities) << "\n" << table_of(TableRows::kCentres);
}

}  // namespace

void add_evaluate(CLI::App& app) {
  CLI::App* verb = app.add_subcommand(
      "evaluate", "score the result of a run on held-out reports, beside base and baselines");
  verb->footer(
      "Writes predictions.jsonl, scores.json, calibration.json (the temperatures of label\n"
      "probabilities, fitted on validation, for `radgpt generate`) and summary.md into the run\n"
      "folder (output.folder), and prints accuracy (classification) and character ROUGE-L\n"
      "(generation) with 95 % intervals over patients. See `radgpt train --help` for the fields of "
      "a recipe.");
  const auto arguments = add_recipe_arguments(*verb);
  verb->callback([arguments] { evaluate(arguments->read()); });
}

}  // namespace radgpt
