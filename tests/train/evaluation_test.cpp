#include "libradgpt/train/evaluation.h"

#include "libradgpt/formats/calibration_file.h"
#include "tests/catch.h"
#include "tests/train/toy_run.h"

namespace radgpt {
namespace {

/// A value of a system over all held-out reports of the task.
double value_of(const EvaluationResult& result, int task, const std::string& system,
                const std::string& metric) {
  for (const ScoreGroup& group : result.groups) {
    if (group.task != task || !group.centre.empty() || !group.modality.empty()) continue;
    for (const SystemScores& scores : group.systems) {
      if (scores.system == system) return scores.values.at(metric).value;
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

TEST_CASE("Evaluation: a new result of the run drops the temperatures of the old one") {
  const ToyRun toy({"train.steps=2", "output.existing=resume"});
  toy.train();
  toy.evaluate({"evaluate.limit=2"});
  CHECK(std::filesystem::exists(toy.run("calibration.json")));
  toy.train();
  CHECK_FALSE(std::filesystem::exists(toy.run("calibration.json")));
}

}  // namespace
}  // namespace radgpt
