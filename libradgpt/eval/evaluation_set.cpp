#include "libradgpt/eval/evaluation_set.h"

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "libradgpt/base/error.h"
#include "libradgpt/base/hash.h"
#include "libradgpt/eval/task_parser.h"

namespace radgpt {

namespace {

/// Whether the report gives no example of a classification for the sole reason that its label is
/// not in the list: as free text the label would be an answer.
bool has_unlisted_label(const Report& report, const Task& task) {
  if (task.kind != TaskKind::kClassification) return false;
  Task open = task;
  open.kind = TaskKind::kGeneration;
  return make_example(report, open).has_value() && !make_example(report, task).has_value();
}

/// The reports with the smallest hashes: a draw that neither files nor their order decide.
std::set<int> draw_reports(const std::set<int>& from, const std::vector<Report>& reports,
                           const EvaluationSetOptions& options) {
  std::vector<std::pair<Sha256Digest, int>> order;
  for (const int index : from) {
    const Report& report = reports[static_cast<size_t>(index)];
    // Sizes keep (salt "a", id "bc") apart from (salt "ab", id "c").
    const std::string key = concat(options.salt.size(), ':', options.salt, report.id.size(), ':',
                                   report.id, report.patient);
    order.emplace_back(sha256(key), index);
  }
  std::sort(order.begin(), order.end());
  if (options.limit > 0 && order.size() > static_cast<size_t>(options.limit)) {
    order.resize(static_cast<size_t>(options.limit));
  }
  std::set<int> drawn;
  for (const auto& [digest, index] : order) drawn.insert(index);
  return drawn;
}

/// The examples to ask, by report, then task; the others are counted.
std::vector<const Example*> choose_examples(EvaluationSet& set,
                                            const EvaluationSetOptions& options) {
  const auto is_asked = [&](int task) { return !options.task || task == *options.task; };
  for (const Report& report : set.part.reports) {
    for (size_t task = 0; task < set.tasks.size(); ++task) {
      if (!is_asked(static_cast<int>(task))) continue;
      set.counts[task].unlisted += has_unlisted_label(report, set.tasks[task]) ? 1 : 0;
    }
  }
  std::vector<const Example*> examples;
  std::set<int> reports;
  for (const Example& example : set.part.examples) {
    if (!is_asked(example.task)) continue;
    examples.push_back(&example);
    reports.insert(example.report);
  }
  const std::set<int> drawn = draw_reports(reports, set.part.reports, options);
  std::erase_if(examples, [&](const Example* one) { return drawn.count(one->report) == 0; });
  return examples;
}

}  // namespace

EvaluationSet make_evaluation_set(const CorpusPart& part, const std::vector<Task>& tasks,
                                  const Tokenizer& tokenizer, const EvaluationSetOptions& options) {
  EvaluationSet set{part, tasks, {}, {}, std::vector<TaskCounts>(tasks.size())};
  for (const Task& task : tasks) {
    parser_of(task);  // which must not fail once a model has answered
    std::vector<std::vector<int32_t>>& labels = set.label_ids.emplace_back();
    for (const auto& [value, answer] : task.labels) labels.push_back(tokenizer.encode(answer));
  }
  std::vector<Example> chosen;
  std::map<std::pair<int, int>, const Example*> examples;
  for (const Example* example : choose_examples(set, options)) {
    chosen.push_back(*example);
    examples[{example->report, example->task}] = example;
    ++set.counts[static_cast<size_t>(example->task)].too_long;  // until it is found to fit
  }
  const TokenDataset dataset = tokenize_examples(chosen, part.reports, tokenizer,
                                                 {options.max_tokens, TooLong::kShortenContext});
  for (int32_t i = 0; i < dataset.size(); ++i) {
    const TokenExample& tokens = dataset.examples[static_cast<size_t>(i)];
    set.items.push_back(
        {tokens.task, tokens.report, examples.at({tokens.report, tokens.task}), dataset.prompt(i)});
    --set.counts[static_cast<size_t>(tokens.task)].too_long;
    ++set.counts[static_cast<size_t>(tokens.task)].items;
  }
  return set;
}

}  // namespace radgpt
