#include "libradgpt/eval/answers.h"

#include <algorithm>

#include "libradgpt/eval/class_scoring.h"
#include "libradgpt/eval/metrics/baselines.h"
#include "libradgpt/eval/metrics/calibration.h"
#include "libradgpt/eval/task_parser.h"
#include "libradgpt/generate/label_scoring.h"

namespace radgpt {

namespace {

/// Longest free answer to a question with a closed list: labels are short.
constexpr int64_t kLabelTokens = 24;

std::vector<size_t> classification_items(const EvaluationSet& set) {
  std::vector<size_t> chosen;
  for (size_t i = 0; i < set.items.size(); ++i) {
    if (set.classifies(set.items[i])) chosen.push_back(i);
  }
  return chosen;
}

std::vector<std::vector<int32_t>> prompts_of(const EvaluationSet& set,
                                             const std::vector<size_t>& items) {
  std::vector<std::vector<int32_t>> prompts;
  for (const size_t item : items) prompts.push_back(set.items[item].prompt);
  return prompts;
}

std::vector<std::vector<double>> score_items(const AskedModel& asked, const EvaluationSet& set,
                                             const std::vector<size_t>& items) {
  if (items.empty()) return {};
  if (asked.head != nullptr) {
    const auto& labels = set.task(set.items[items.front()]).labels;
    return score_classes(asked.model, *asked.head, prompts_of(set, items),
                         static_cast<int64_t>(labels.size()));
  }
  std::vector<LabelQuery> queries;
  for (const size_t item : items) {
    queries.push_back({set.items[item].prompt, set.label_ids[set.items[item].task]});
  }
  return score_labels(asked.model, queries);
}

int label_of(const Task& task, const std::string& answer) {
  for (size_t label = 0; label < task.labels.size(); ++label) {
    if (task.labels[label].second == answer) return static_cast<int>(label);
  }
  return kInvalidAnswer;
}

void choose_labels(const AskedModel& asked, const EvaluationSet& set,
                   const Temperatures& temperatures, std::vector<std::optional<Answer>>& answers) {
  const std::vector<size_t> items = classification_items(set);
  const auto scores = score_items(asked, set, items);
  for (size_t i = 0; i < items.size(); ++i) {
    const EvaluationItem& item = set.items[items[i]];
    const auto found = temperatures.find(item.task);
    Answer& answer = answers[items[i]].emplace();
    answer.probabilities =
        label_probabilities(scores[i], found == temperatures.end() ? 1.0 : found->second);
    answer.label = static_cast<int>(
        std::max_element(answer.probabilities.begin(), answer.probabilities.end()) -
        answer.probabilities.begin());
    answer.text = set.task(item).labels[static_cast<size_t>(answer.label)].second;
  }
}

/// Generates for the items of one kind; classifications need few tokens.
std::vector<std::string> generate_texts(const Baichuan& model, const Tokenizer& tokenizer,
                                        const EvaluationSet& set, const std::vector<size_t>& items,
                                        const GenerationOptions& options,
                                        const GenerationProgress& progress) {
  std::vector<std::string> texts;
  for (const Generation& generation : generate(model, prompts_of(set, items), options, progress)) {
    texts.push_back(tokenizer.decode(generation.ids));
  }
  return texts;
}

}  // namespace

Temperatures fit_temperatures(const AskedModel& asked, const EvaluationSet& validation) {
  const std::vector<size_t> items = classification_items(validation);
  const auto scores = score_items(asked, validation, items);
  std::map<int, std::pair<std::vector<std::vector<double>>, std::vector<int>>> by_task;
  for (size_t i = 0; i < items.size(); ++i) {
    const EvaluationItem& item = validation.items[items[i]];
    by_task[item.task].first.push_back(scores[i]);
    by_task[item.task].second.push_back(item.example->label);
  }
  Temperatures temperatures;
  for (const auto& [task, fitted] : by_task) {
    temperatures[task] = fit_temperature(fitted.first, fitted.second);
  }
  return temperatures;
}

SystemAnswers answer_with_model(const AskedModel& asked, const Tokenizer& tokenizer,
                                const EvaluationSet& set, const Temperatures& temperatures,
                                const GenerationOptions& options, const AnswerProgress& progress) {
  SystemAnswers result{asked.system, {}};
  result.answers.resize(set.items.size());
  choose_labels(asked, set, temperatures, result.answers);
  if (asked.head != nullptr) return result;
  const std::vector<size_t> classified = classification_items(set);
  std::vector<size_t> written;
  for (size_t i = 0; i < set.items.size(); ++i) {
    if (!set.classifies(set.items[i])) written.push_back(i);
  }
  const auto total = static_cast<int64_t>(set.items.size());
  const auto report = [&](int64_t done) {
    if (progress) progress(done, total);
  };
  GenerationOptions short_options = options;
  short_options.max_new_tokens = std::min(options.max_new_tokens, kLabelTokens);
  const auto labels =
      generate_texts(asked.model, tokenizer, set, classified, short_options, report);
  for (size_t i = 0; i < classified.size(); ++i) {
    const Task& task = set.task(set.items[classified[i]]);
    result.answers[classified[i]]->generated_label = parser_of(task).parse(labels[i]).label;
  }
  const auto before = static_cast<int64_t>(classified.size());
  const auto texts = generate_texts(asked.model, tokenizer, set, written, options,
                                    [&](int64_t done) { report(before + done); });
  for (size_t i = 0; i < written.size(); ++i) result.answers[written[i]].emplace().text = texts[i];
  return result;
}

std::vector<SystemAnswers> answer_with_baselines(const EvaluationSet& set,
                                                 const CorpusPart& training) {
  std::map<std::string, std::vector<std::optional<Answer>>> by_name;
  for (size_t task = 0; task < set.tasks.size(); ++task) {
    const bool is_asked = std::any_of(
        set.items.begin(), set.items.end(),
        [&](const EvaluationItem& item) { return item.task == static_cast<int>(task); });
    if (!is_asked) continue;
    TrainingPairs pairs;
    for (const Example& example : training.examples) {
      if (example.task != static_cast<int>(task)) continue;
      pairs.contexts.push_back(example.context);
      pairs.answers.push_back(example.answer);
    }
    if (pairs.contexts.empty()) continue;
    for (const auto& baseline : make_baselines(set.tasks[task].kind, pairs)) {
      std::vector<std::optional<Answer>>& answers = by_name[baseline->name()];
      answers.resize(set.items.size());
      for (size_t i = 0; i < set.items.size(); ++i) {
        if (set.items[i].task != static_cast<int>(task)) continue;
        Answer& answer = answers[i].emplace();
        answer.text = baseline->answer(set.items[i].example->context);
        answer.label = label_of(set.tasks[task], answer.text);
      }
    }
  }
  std::vector<SystemAnswers> systems;
  for (const std::string_view name : kBaselineNames) {
    const auto found = by_name.find(std::string(name));
    if (found != by_name.end()) systems.push_back({found->first, std::move(found->second)});
  }
  return systems;
}

}  // namespace radgpt
