#pragma once

#include <torch/types.h>

#include <atomic>
#include <map>
#include <string>
#include <vector>

#include "libradgpt/base/error.h"
#include "libradgpt/config/recipe_file.h"
#include "libradgpt/data/tokenizer_training.h"
#include "libradgpt/model/baichuan.h"
#include "libradgpt/train/evaluation.h"
#include "libradgpt/train/run.h"
#include "tests/base/temporary_folder.h"
#include "tests/device/test_type.h"

namespace radgpt {

/// A folder with a tiny random base, 150 made-up reports that one word tells apart, and a recipe
/// that learns to classify and to summarise them: whole runs in seconds.
class ToyRun {
 public:
  explicit ToyRun(std::vector<std::string> overrides = {}) : overrides_(std::move(overrides)) {
    std::vector<std::string> texts;
    std::string lines;
    for (int i = 0; i < 150; ++i) {
      texts.push_back(findings(i));
      lines += line(i);
    }
    folder_.write("reports.jsonl", lines);
    write_base(train_tokenizer(texts, 1385));
  }

  /// Every third report is abnormal.
  static bool is_abnormal(int i) { return i % 3 == 0; }
  static std::string findings(int i) {
    const std::string number = std::to_string(i);
    return is_abnormal(i) ? "右肺上叶见结节，大小" + number + "mm。"
                          : "双肺清晰，心影" + number + "mm。";
  }

  const TemporaryFolder& folder() const { return folder_; }
  std::string base() const { return folder_.file("base"); }
  std::string run(const std::string& name) const { return folder_.file("run/" + name); }
  std::string recipe_path() const { return folder_.write("toy.yaml", recipe_text()); }

  Recipe recipe(const std::vector<std::string>& more = {}) const {
    std::vector<std::string> all = overrides_;
    all.insert(all.end(), more.begin(), more.end());
    return parse_recipe(recipe_text(), "toy.yaml", all);
  }

  /// Writes one more file of reports, NAME.jsonl.
  void add_reports(const std::string& name, const std::string& lines) const {
    folder_.write(name + ".jsonl", lines + "\n");
  }

  void train(const std::vector<std::string>& more = {}) const {
    class Silent : public RunObserver {
      void on_step(const StepRecord&) override {}
      void on_evaluation(const EvaluationRecord&) override {}
      void on_note(const std::string&) override {}
    } silent;
    run_training(recipe(more), silent, std::atomic<bool>{false});
  }

  EvaluationResult evaluate(const std::vector<std::string>& more = {}) const {
    return run_evaluation(recipe(more), [](const std::string&, int64_t, int64_t) {});
  }

 private:
  std::string recipe_text() const {
    return concat("model: {path: ", base(), ", max_length: 64, dtype: ", test_type_name(), "}\n",
                  "data:\n  sources: [{reports: [", folder_.file("reports.jsonl"), "]}]\n",
                  "  near_duplicate: 0\n  validation_fraction: 0.2\n  test_fraction: 0.2\n",
                  R"(tasks:
  - name: abnormal
    kind: classification
    context: "影像所见：{findings}"
    question: "阳性还是阴性？"
    answer: "{label:abnormal}"
    labels: {"yes": 阳性, "no": 阴性}
  - name: summary
    kind: generation
    context: "影像所见：{findings}"
    question: "影像诊断？"
    answer: "{impression}"
lora: {rank: 4, alpha: 8, targets: [all]}
optim: {learning_rate: 0.01}
train: {steps: 40, pack_tokens: 512, threads: 2}
evaluate: {bootstrap: 0, max_new_tokens: 8}
)",
                  "output: {folder: ", folder_.file("run"), "}\n");
  }

  static std::string line(int i) {
    const std::string id = std::to_string(i);
    return "{\"id\":\"r" + id + "\",\"patient\":\"p" + id + "\",\"centre\":\"" +
           (i % 2 == 0 ? "north" : "south") + "\",\"modality\":\"CT\",\"findings\":\"" +
           findings(i) + "\",\"impression\":\"" + (is_abnormal(i) ? "肺结节。" : "未见异常。") +
           "\",\"labels\":{\"abnormal\":\"" + (is_abnormal(i) ? "yes" : "no") + "\"}}\n";
  }

  void write_base(const Tokenizer& tokenizer) const {
    ModelConfig config;
    config.vocab_size = tokenizer.size();
    config.hidden_size = 64;
    config.intermediate_size = 96;
    config.num_hidden_layers = 2;
    config.num_attention_heads = 4;
    config.model_max_length = 64;
    Baichuan model(config, at::kFloat);
    model.initialise(3);
    model.save(base());
    tokenizer.save(base() + "/tokenizer.model");
  }

  TemporaryFolder folder_;
  std::vector<std::string> overrides_;
};

}  // namespace radgpt
