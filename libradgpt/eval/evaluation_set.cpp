#include "libradgpt/eval/evaluation_set.h"

#include <map>
#include <utility>

namespace radgpt {

EvaluationSet make_evaluation_set(const CorpusPart& part, const std::vector<Task>& tasks,
                                  const Tokenizer& tokenizer, int32_t max_tokens, int64_t limit) {
  EvaluationSet set{part, tasks, {}, {}, 0};
  for (const Task& task : tasks) {
    std::vector<std::vector<int32_t>>& labels = set.label_ids.emplace_back();
    for (const auto& [value, answer] : task.labels) labels.push_back(tokenizer.encode(answer));
  }
  std::map<std::pair<int, int>, const Example*> examples;
  for (const Example& example : part.examples) {
    if (limit == 0 || example.report < limit) {
      examples[{example.report, example.task}] = &example;
    }
  }
  const TokenDataset dataset = tokenize_examples(part.examples, part.reports, tokenizer,
                                                 {max_tokens, TooLong::kShortenContext});
  for (int32_t i = 0; i < dataset.size(); ++i) {
    const TokenExample& tokens = dataset.examples[i];
    const auto found = examples.find({tokens.report, tokens.task});
    if (found == examples.end()) continue;
    EvaluationItem item{tokens.task, tokens.report, found->second, dataset.prefix(i)};
    item.prompt.insert(item.prompt.end(), tokens.branch.begin(),
                       tokens.branch.begin() + tokens.answer_row + 1);
    set.items.push_back(std::move(item));
  }
  set.left_out = static_cast<int64_t>(examples.size() - set.items.size());
  return set;
}

}  // namespace radgpt
