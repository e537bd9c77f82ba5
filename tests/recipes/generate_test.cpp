#include <algorithm>
#include <cmath>
#include <filesystem>

#include "libradgpt/formats/calibration_file.h"
#include "tests/catch.h"
#include "tests/recipes/process.h"
#include "tests/train/toy_run.h"

namespace radgpt {
namespace {

/// What `radgpt generate` says with a toy run's adapter.
struct Asked {
  ToyRun toy;
  std::string report;
  std::string recipe;

  explicit Asked(std::vector<std::string> overrides) : toy(std::move(overrides)) {
    toy.train();
    report = toy.folder().write("report.txt", ToyRun::findings(0));
    recipe = toy.run("recipe.yaml");
  }

  ProcessResult ask(const std::string& task, const std::vector<std::string>& more = {}) const {
    std::vector<std::string> arguments = {
        "generate", "--model", toy.base(), "--adapter", toy.run("adapter"), "--recipe", recipe,
        "--task",   task,      "--input",  report};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return run_radgpt(arguments);
  }

  /// The probability of the label, of two, that is printed behind it.
  double probability(const std::vector<std::string>& more = {}) const {
    const ProcessResult result = ask("abnormal", more);
    INFO(result.errors);
    REQUIRE(result.exit_code == 0);
    return std::stod(result.output.substr(result.output.find('\t')));
  }
};

/// Of the likelier of two labels, at another temperature.
double tempered(double probability, double temperature) {
  return 1 / (1 + std::pow(1 / probability - 1, 1 / temperature));
}

void check_refused(const ProcessResult& result, int exit_code, const std::string& message) {
  INFO(result.errors);
  CHECK(result.exit_code == exit_code);
  CHECK(result.output.empty());
  CHECK(std::count(result.errors.begin(), result.errors.end(), '\n') == 1);
  CHECK(result.errors.find(message) != std::string::npos);
}

TEST_CASE("Generate: the probability of a label is calibrated by the run of the adapter") {
  const Asked asked({"train.steps=10"});
  const double plain = asked.probability();
  CHECK(asked.probability({"--label-temperature", "1"}) == plain);
  const std::string path = asked.toy.run("calibration.json");
  write_calibration(path, {{"adapter", {{"abnormal", 0.25}}}, {"base", {{"abnormal", 10}}}});
  const double printed = 5e-5;  // half of the last digit, on both sides
  const double low = tempered(plain - printed, 0.25) - printed;
  const double high = tempered(plain + printed, 0.25) + printed;
  CHECK(high - low < 0.01);
  const double cold = asked.probability();
  CHECK((cold >= low && cold <= high));
  CHECK(cold > plain);
  CHECK(asked.probability({"--label-temperature", "1"}) == plain);

  write_calibration(path, {{"adapter", {{"another", 0.25}}}});
  CHECK(asked.probability() == plain);
  asked.toy.folder().write("run/calibration.json", "{\"temperatures\": {\"adapter\": 2}}");
  check_refused(asked.ask("abnormal"), 3, path + ": temperatures.adapter: must be");
}

TEST_CASE("Generate: a byte order mark before a report is passed over") {
  const Asked asked({"train.steps=1"});
  const double plain = asked.probability();
  asked.toy.folder().write("report.txt", "\xEF\xBB\xBF" + std::string(ToyRun::findings(0)));
  CHECK(asked.probability() == plain);
  asked.toy.folder().write("report.txt",
                           "\xEF\xBB\xBF{\"findings\": \"" + ToyRun::findings(0) + "\"}");
  CHECK(asked.probability() == plain);
}

TEST_CASE("Generate: a classifier head gives the label and its probability") {
  Asked asked({"train.head=classifier", "train.head_task=abnormal"});
  for (const int i : {0, 1}) {
    asked.toy.folder().write("report.txt", ToyRun::findings(i));
    const ProcessResult result = asked.ask("abnormal");
    INFO(result.errors);
    const std::string label = ToyRun::is_abnormal(i) ? "阳性\t" : "阴性\t";
    CHECK(result.output.starts_with(label));
    CHECK(asked.probability() > 0.5);
  }
  write_calibration(asked.toy.run("calibration.json"), {{"adapter", {{"abnormal", 10}}}});
  CHECK(asked.probability() < asked.probability({"--label-temperature", "1"}));

  check_refused(asked.ask("summary"), 2,
                "--task: must be abnormal, which the head classifier of the recipe alone answers, "
                "got summary");
  asked.recipe = asked.toy.recipe_path();  // the same tasks, but no head
  check_refused(asked.ask("abnormal"), 3,
                "modules_to_save: must be absent or name the head in use, got classifier");
}

}  // namespace
}  // namespace radgpt
