#include "libradgpt/train/evaluation.h"

#include <functional>

#include "libradgpt/formats/calibration_file.h"
#include "libradgpt/formats/safetensors.h"
#include "libradgpt/heads/head.h"
#include "tests/catch.h"
#include "tests/train/toy_run.h"

namespace radgpt {
namespace {

/// A value of a system over all held-out reports of the task; -1: there is none.
double value_of(const EvaluationResult& result, int task, const std::string& system,
                const std::string& metric) {
  for (const ScoreGroup& group : result.groups) {
    if (group.task != task || !group.centre.empty() || !group.modality.empty()) continue;
    for (const SystemScores& scores : group.systems) {
      const auto found = scores.values.find(metric);
      if (scores.system == system && found != scores.values.end()) return found->second.value;
    }
  }
  return -1;
}

TEST_CASE("Evaluation: the temperatures of base and adapter are written down by task") {
  const ToyRun toy;
  toy.train();
  const EvaluationResult result = toy.evaluate();
  CHECK(result.systems ==
        std::vector<std::string>{"majority", "lead", "nearest neighbour", "base", "adapter"});
  CHECK(value_of(result, 0, "adapter", "ece") >= 0);
  const Calibration calibration = read_calibration(toy.run("calibration.json"));
  REQUIRE(calibration.size() == 2);
  CHECK(calibration.at("adapter").size() == 1);
  CHECK(calibration.at("adapter").count("abnormal") == 1);
  CHECK(calibration.at("adapter") != calibration.at("base"));

  toy.evaluate({"evaluate.calibrate=false", "evaluate.compare_base=false"});
  CHECK(read_calibration(toy.run("calibration.json")) == calibration);
}

TEST_CASE("Evaluation: a new result of the run drops the temperatures of the old one, no other") {
  const ToyRun toy({"train.steps=2", "train.save_every=1", "output.existing=resume"});
  toy.train();
  toy.evaluate({"evaluate.limit=2"});
  toy.train();
  CHECK(std::filesystem::exists(toy.run("calibration.json")));
  std::filesystem::remove_all(toy.run("checkpoints/step-2"));
  toy.train();
  CHECK_FALSE(std::filesystem::exists(toy.run("calibration.json")));
}

const std::vector<std::string> kClassifier = {"train.head=classifier", "train.head_task=abnormal"};
const std::string kHeadWeight = "base_model.model.classifier.weight";

TEST_CASE("Evaluation: a classifier head beats the majority on reports that a word tells apart") {
  const ToyRun toy(kClassifier);
  toy.train();
  const EvaluationResult result = toy.evaluate();
  CHECK(result.systems == std::vector<std::string>{"majority", "nearest neighbour", "adapter"});
  CHECK(value_of(result, 0, "majority", "accuracy") < 0.8);
  CHECK(value_of(result, 0, "adapter", "accuracy") > 0.9);
  CHECK(value_of(result, 0, "adapter", "auc") > 0.9);
  CHECK(value_of(result, 0, "adapter", "ece") >= 0);
  CHECK(value_of(result, 0, "adapter", "generated_accuracy") == -1);
  CHECK(value_of(result, 1, "lead", "rouge_l") == -1);
  CHECK(result.notes.front() ==
        "the head classifier answers abnormal alone: the other tasks are not scored");
  CHECK(read_calibration(toy.run("calibration.json")).at("adapter").count("abnormal") == 1);
}

std::string message_of_evaluation(const ToyRun& toy, const std::vector<std::string>& more = {}) {
  try {
    toy.evaluate(more);
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::kInput);
    return error.what();
  }
  return "";
}

/// Writes the weights of the run's adapter again as `change` leaves them.
void change_weights(const ToyRun& toy,
                    const std::function<void(std::map<std::string, at::Tensor>&)>& change) {
  const std::string path = toy.run("adapter/adapter_model.safetensors");
  std::map<std::string, at::Tensor> weights;
  {
    const SafetensorsFile file(path);
    for (const TensorInfo& tensor : file.tensors()) {
      at::Tensor& values = weights[tensor.name] = at::empty(tensor.shape, at::kFloat);
      file.read(tensor, {static_cast<std::byte*>(values.data_ptr()), values.nbytes()});
    }
  }
  change(weights);
  std::vector<TensorBytes> tensors;
  for (const auto& [name, values] : weights) {
    const auto* bytes = static_cast<const std::byte*>(values.const_data_ptr());
    tensors.push_back({{name, DataType::kF32, values.sizes().vec()}, {bytes, values.nbytes()}});
  }
  write_safetensors(path, tensors);
}

TEST_CASE("Evaluation: the head's tensor is refused by name if it is missing or misshaped") {
  std::vector<std::string> overrides = kClassifier;
  overrides.push_back("train.steps=1");
  const ToyRun toy(overrides);
  toy.train();
  using Weights = std::map<std::string, at::Tensor>;
  SECTION("missing") {
    change_weights(toy, [](Weights& weights) { weights.erase(kHeadWeight); });
    CHECK(message_of_evaluation(toy).find("lacks " + kHeadWeight) != std::string::npos);
  }
  SECTION("misshaped") {
    change_weights(toy, [](Weights& weights) { weights[kHeadWeight] = at::ones({3, 64}); });
    CHECK(message_of_evaluation(toy).find(kHeadWeight + ": shape must be [2, 64], got [3, 64]") !=
          std::string::npos);
  }
}

TEST_CASE("Evaluation: what the run was not made from is refused") {
  const ToyRun toy({"train.steps=1", "evaluate.limit=2"});
  toy.train();
  const std::string manifest = toy.run("manifest.json");
  const auto message = [&](const std::string& key) {
    return manifest + ": " + key + ": must be what the run was made from, got another";
  };
  SECTION("another split") {
    CHECK(message_of_evaluation(toy, {"data.salt=other"}) ==
          "toy.yaml: data, tasks: must be those of the run, " + toy.run("recipe.yaml") +
              ", got others");
  }
  SECTION("other tasks") {
    CHECK(
        message_of_evaluation(toy, {"tasks.1.question=还有呢？"}).find("toy.yaml: data, tasks:") ==
        0);
  }
  SECTION("a file that has changed") {
    const std::string path = toy.folder().file("reports.jsonl");
    toy.folder().write("reports.jsonl", toy.folder().read("reports.jsonl") + "\n");
    CHECK(message_of_evaluation(toy) == message("inputs." + path));
  }
  SECTION("another base") {
    const auto base = Baichuan::load(toy.base(), at::kFloat);
    base->initialise(4);
    base->save(toy.base());
    CHECK(message_of_evaluation(toy) == message("identity.base"));
  }
  SECTION("fields of evaluation and output may differ") {
    CHECK(message_of_evaluation(toy,
                                {"evaluate.batch=1", "train.threads=1", "output.existing=resume"})
              .empty());
  }
}

TEST_CASE("Evaluation: a held-out text in an earlier split is refused") {
  const ToyRun toy({"train.steps=1", "evaluate.limit=2"});
  const auto line_of = [](const std::string& patient) {
    return R"({"id":"1","centre":"north","modality":"CT","findings":"双肺清晰","patient":")" +
           patient + R"(","impression":"肺","labels":{"abnormal":"no"}})";
  };
  toy.add_reports("train", line_of("x"));
  toy.add_reports("test", line_of("y"));
  std::vector<std::string> overrides = {
      "data.sources.0.train=[" + toy.folder().file("train.jsonl") + "]",
      "data.sources.0.test=[" + toy.folder().file("test.jsonl") + "]", "data.duplicates=drop"};
  toy.train(overrides);
  // The recipe of the run is changed by hand, so that this rule alone is left to notice it.
  std::string recipe = toy.folder().read("run/recipe.yaml");
  recipe.replace(recipe.find("duplicates: drop"), 16, "duplicates: error");
  toy.folder().write("run/recipe.yaml", recipe);
  overrides.back() = "data.duplicates=error";
  CHECK(message_of_evaluation(toy, overrides)
            .find("a held-out text must not stand in an earlier split") != std::string::npos);
}

TEST_CASE("Evaluation: temperatures are not fitted on the reports that are scored") {
  const ToyRun toy({"train.steps=1", "evaluate.limit=2"});
  toy.train();
  const EvaluationResult result = toy.evaluate({"evaluate.split=validation"});
  CHECK_FALSE(std::filesystem::exists(toy.run("calibration.json")));
  REQUIRE_FALSE(result.notes.empty());
  CHECK(result.notes.front() ==
        "label probabilities are not calibrated: validation itself is scored");
}

TEST_CASE("Evaluation: a registered head that classifies is asked in the same way") {
  static const bool registered = register_head(
      "toy_head", [](const HeadContext& context) { return make_head("classifier", context); });
  CHECK(registered);
  const ToyRun toy({"train.head=toy_head", "train.head_task=abnormal"});
  toy.train();
  CHECK(value_of(toy.evaluate(), 0, "adapter", "accuracy") > 0.9);
}

TEST_CASE("Evaluation: a head that does not classify cannot answer its task") {
  static const bool registered = register_head(
      "mute_head", [](const HeadContext& context) { return make_head("causal_lm", context); });
  CHECK(registered);
  const ToyRun toy({"train.head=mute_head", "train.head_task=abnormal", "train.steps=1"});
  toy.train();
  CHECK(message_of_evaluation(toy).find("train.head: must give class probabilities") == 0);
}

TEST_CASE("Evaluation: tasks and reports that are not scored stand in notes and summary") {
  const ToyRun toy(
      {"train.steps=1", "data.max_bad_lines=1", R"(tasks.1.answer="{nothing}{impression}")"});
  toy.add_reports("test", R"({"id":"x","patient":"x","centre":"north","modality":"CT",)"
                          R"("findings":"影像","labels":{"abnormal":"perhaps"}})"
                          "\n{\"id\":\"z\",\"patient\":\"z\",\"centre\":\"north\",\"modality\":"
                          "\"CT\",\"impression\":\"\"}");
  // One training report has what the summary asks for here, and no held-out one.
  toy.add_reports("train", R"({"id":"y","patient":"y","centre":"north","modality":"CT",)"
                           R"("findings":"影像双肺","impression":"肺","nothing":"无",)"
                           R"("labels":{"abnormal":"no"}})");
  const std::vector<std::string> files = {
      "data.sources.0.test=[" + toy.folder().file("test.jsonl") + "]",
      "data.sources.0.train=[" + toy.folder().file("train.jsonl") + "]"};
  toy.train(files);
  const EvaluationResult result = toy.evaluate(files);
  const std::vector<std::string> expected = {
      toy.folder().file("test.jsonl") + ": 1 unreadable line(s)",
      "abnormal: not scored: 1 held-out report(s) whose label is not among the task's labels",
      "summary: not scored: no held-out report gives an example"};
  REQUIRE(result.notes.size() >= 3);
  CHECK(std::vector<std::string>(result.notes.begin(), result.notes.begin() + 3) == expected);
  const std::string summary = toy.folder().read("run/summary.md");
  for (const std::string& note : expected) {
    CHECK(summary.find("\n* " + note + "\n") != std::string::npos);
  }
}

}  // namespace
}  // namespace radgpt
