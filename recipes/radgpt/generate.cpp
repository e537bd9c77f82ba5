#include "libradgpt/generate/generate.h"

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <iostream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <optional>

#include "libradgpt/base/error.h"
#include "libradgpt/base/files.h"
#include "libradgpt/base/text.h"
#include "libradgpt/config/recipe_file.h"
#include "libradgpt/data/task_templates.h"
#include "libradgpt/data/token_dataset.h"
#include "libradgpt/eval/answers.h"
#include "libradgpt/eval/class_scoring.h"
#include "libradgpt/eval/metrics/calibration.h"
#include "libradgpt/formats/calibration_file.h"
#include "libradgpt/formats/json.h"
#include "libradgpt/generate/label_scoring.h"
#include "libradgpt/train/assembly.h"
#include "recipes/radgpt/progress.h"
#include "recipes/radgpt/verbs.h"

namespace radgpt {

namespace {

constexpr uint64_t kLongestInput = 16 << 20;
constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";

struct GenerateArguments {
  std::string model;
  std::string adapter;
  std::string task;
  std::string recipe;
  std::string input = "-";
  std::optional<double> label_temperature;
  GenerationOptions options;
};

std::string names_of(const std::vector<Task>& tasks) {
  std::string names;
  for (const Task& task : tasks) names += (names.empty() ? "" : ", ") + task.name;
  return names;
}

/// The task asked for. With an adapter whose run had a head that classifies, it must be its own.
Task find_task(const Recipe& recipe, const GenerateArguments& arguments) {
  const std::optional<int> own = find_head_task(recipe);
  const bool head_answers = own && !arguments.adapter.empty();
  if (head_answers && recipe.train.head_task != arguments.task) {
    fail(ErrorKind::kUsage, "--task: must be ", recipe.train.head_task, ", which the head ",
         recipe.train.head, " of the recipe alone answers, got ", arguments.task);
  }
  for (const Task& task : recipe.tasks) {
    if (task.name == arguments.task) return task;
  }
  fail(ErrorKind::kUsage, "--task: must be one of ", names_of(recipe.tasks), ", got ",
       arguments.task);
}

std::string read_input(const std::string& path) {
  if (path != "-") return read_file(path, kLongestInput);
  std::string text{std::istreambuf_iterator<char>(std::cin), {}};
  require(text.size() <= kLongestInput, "standard input: must have at most ", kLongestInput,
          " bytes, got ", text.size());
  return text;
}

/// The report's fields that the prompt of a task is made from.
std::vector<std::string> fields_of(const Task& task) {
  const std::string text = task.context + task.question;
  std::vector<std::string> fields;
  for (const auto& [before, placeholder] : split_template(text)) {
    if (placeholder) fields.emplace_back(placeholder->name);
  }
  return fields;
}

/// A JSON object is read by its fields; any other text is the one field that the task asks about.
Report read_report(const std::string& path, const Task& task) {
  const std::string name = path == "-" ? "standard input" : path;
  std::string text = read_input(path);
  if (text.starts_with(kByteOrderMark)) text.erase(0, kByteOrderMark.size());
  const std::optional<size_t> fault = find_invalid_utf8(text);
  require(!fault, name, ": must be UTF-8, got another byte at ", fault.value_or(0));
  const size_t first = text.find_first_not_of(" \t\r\n");
  require(first != std::string::npos, name, ": must hold a report, got nothing");
  Report report;
  report.source = {name, 1};
  if (text[first] != '{') {
    text.erase(text.find_last_not_of(" \t\r\n") + 1);
    const std::vector<std::string> fields = fields_of(task);
    require(fields.size() == 1, name, ": task ", task.name, " asks for ", fields.size(),
            " fields, so the report must be a JSON object, got plain text");
    report.texts[fields.front()] = text.substr(first);
    return report;
  }
  const nlohmann::json object = parse_json(text, {.file = name});
  for (const auto& [key, value] : object.items()) {
    if (value.is_string()) report.texts[key] = value.get<std::string>();
  }
  report.modality = report.texts["modality"];
  report.centre = report.texts["centre"];
  return report;
}

std::vector<int32_t> make_prompt(const Report& report, const Task& task, const Tokenizer& tokenizer,
                                 const ModelConfig& config) {
  Task asked = task;  // without the answer, which is what we want to know
  asked.kind = TaskKind::kGeneration;
  asked.answer = "-";
  const std::optional<Example> example = make_example(report, asked);
  std::string fields;
  for (const std::string& field : fields_of(task)) fields += (fields.empty() ? "" : ", ") + field;
  require(example.has_value(), report.source.file, ": must have what task ", task.name,
          " asks for (", fields, "), got an object without");
  const TokenDataset dataset =
      tokenize_examples({*example}, {report}, tokenizer,
                        {.max_tokens = static_cast<int32_t>(config.model_max_length)});
  return dataset.prompt(0);
}

/// What --label-temperature says, else what `radgpt evaluate` has fitted to the result in use, in
/// the run folder that holds it; 1 where neither is.
double label_temperature(const GenerateArguments& arguments) {
  namespace fs = std::filesystem;
  if (arguments.label_temperature) return *arguments.label_temperature;
  const bool is_adapted = !arguments.adapter.empty();
  const fs::path result = is_adapted ? arguments.adapter : arguments.model;
  const std::string path = (result / ".." / "calibration.json").lexically_normal().string();
  if (!fs::exists(path)) return 1;
  const Calibration calibration = read_calibration(path);
  const auto system = calibration.find(is_adapted ? "adapter" : "model");
  if (system == calibration.end()) return 1;
  const auto task = system->second.find(arguments.task);
  return task == system->second.end() ? 1 : task->second;
}

/// Log-probability of each label: by the head if there is one, else of the model's own words.
std::vector<double> score_of_labels(const AskedModel& asked, const Tokenizer& tokenizer,
                                    const Task& task, const std::vector<int32_t>& prompt) {
  if (asked.head != nullptr) {
    const auto classes = static_cast<int64_t>(task.labels.size());
    return score_classes(asked.model, *asked.head, {prompt}, classes).front();
  }
  LabelQuery query{.prompt = prompt, .labels = {}};
  for (const auto& [value, answer] : task.labels) query.labels.push_back(tokenizer.encode(answer));
  return score_labels(asked.model, {query}).front();
}

std::string classify(const AskedModel& asked, const Tokenizer& tokenizer, const Task& task,
                     const std::vector<int32_t>& prompt, double temperature) {
  const std::vector<double> probabilities =
      label_probabilities(score_of_labels(asked, tokenizer, task, prompt), temperature);
  const auto best = std::max_element(probabilities.begin(), probabilities.end());
  char probability[32];
  std::snprintf(probability, sizeof probability, "%.4f", *best);
  return concat(task.labels[best - probabilities.begin()].second, "\t", probability);
}

std::string answer(const AskedModel& asked, const Tokenizer& tokenizer, const Task& task,
                   const std::vector<int32_t>& prompt, const GenerateArguments& arguments) {
  if (task.kind == TaskKind::kClassification) {
    return classify(asked, tokenizer, task, prompt, label_temperature(arguments));
  }
  return tokenizer.decode(generate(asked.model, {prompt}, arguments.options).front().ids);
}

void generate_answer(const GenerateArguments& arguments) {
  const Recipe recipe = arguments.recipe.empty() ? Recipe{} : read_recipe(arguments.recipe);
  const Task task = find_task(recipe, arguments);
  const ModelConfig config = read_model_config(arguments.model + "/config.json");
  const Tokenizer tokenizer = Tokenizer::load(arguments.model + "/tokenizer.model");
  require(tokenizer.size() == config.vocab_size, arguments.model, ": tokenizer.model must have ",
          config.vocab_size, " pieces as config.json says, got ", tokenizer.size());
  const std::vector<int32_t> prompt =
      make_prompt(read_report(arguments.input, task), task, tokenizer, config);
  const auto model = load_with_progress(arguments.model, native_options());
  std::optional<AdaptedModel> adapted;
  if (!arguments.adapter.empty()) adapted.emplace(*model, recipe, arguments.adapter);
  const AskedModel asked{"", *model, adapted ? adapted->classifier() : nullptr};
  std::cout << answer(asked, tokenizer, task, prompt, arguments) << "\n";
}

void add_sampling(CLI::App& verb, GenerationOptions& options) {
  verb.add_option("--max-new-tokens", options.max_new_tokens, "longest answer in tokens")
      ->check(CLI::Range(1, 1'000'000))
      ->capture_default_str();
  verb.add_option("--temperature", options.sampling.temperature, "of sampling; 0 = greedy")
      ->check(CLI::Range(0.0, 100.0))
      ->capture_default_str();
  verb.add_option("--top-k", options.sampling.top_k, "sample among the k likeliest; 0 = all")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  verb.add_option("--top-p", options.sampling.top_p,
                  "sample among the likeliest of this probability; 1 = all")
      ->check(CLI::Range(1e-6, 1.0))
      ->capture_default_str();
  verb.add_option("--repetition-penalty", options.sampling.repetition_penalty,
                  "divides logits of tokens seen; 1 = off")
      ->check(CLI::Range(0.01, 10.0))
      ->capture_default_str();
  verb.add_option("--seed", options.sampling.seed, "of sampling")->capture_default_str();
}

}  // namespace

void add_generate(CLI::App& app) {
  CLI::App* verb = app.add_subcommand("generate", "answer one task about one report");
  verb->footer(
      "The report is plain text, or a JSON object with fields such as findings, impression,\n"
      "modality. A classification prints its label, a tab and the label's probability; anything\n"
      "else prints the answer. Probabilities are calibrated where the folder of --adapter (else "
      "of\n"
      "--model) lies in a run folder that radgpt evaluate has left a calibration.json in.\n"
      "Without --recipe the tasks are " +
      names_of(default_tasks()) + ".");
  auto arguments = std::make_shared<GenerateArguments>();
  verb->add_option("--model", arguments->model, "folder of the base in Hugging Face layout")
      ->required();
  verb->add_option("--adapter", arguments->adapter, "folder of an adapter in PEFT's layout");
  verb->add_option("--task", arguments->task, "name of the task")->required();
  verb->add_option("--recipe", arguments->recipe,
                   "take tasks and head from this recipe, such as the recipe.yaml of the run");
  verb->add_option("--input", arguments->input, "file with the report; - = standard input")
      ->capture_default_str();
  verb->add_option("--label-temperature", arguments->label_temperature,
                   "divides log-probabilities of labels; default: what radgpt evaluate has fitted")
      ->check(CLI::PositiveNumber);
  add_sampling(*verb, arguments->options);
  verb->callback([arguments] { generate_answer(*arguments); });
}

}  // namespace radgpt
