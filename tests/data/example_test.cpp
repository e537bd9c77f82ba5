#include "libradgpt/data/example.h"

#include "libradgpt/base/error.h"
#include "tests/catch.h"

using namespace radgpt;

namespace {

Report report() {
  Report result;
  result.id = "r1";
  result.centre = "north";
  result.modality = "CT";
  result.texts = {{"findings", "双肺清晰。"}, {"impression", "未见异常。"}};
  result.labels = {{"abnormal", "no"}};
  return result;
}

Task summary() {
  Task task;
  task.name = "summary";
  task.context = "{modality}：{findings}";
  task.question = "诊断？";
  task.answer = "{impression}";
  return task;
}

Task positive() {
  Task task;
  task.name = "positive";
  task.kind = TaskKind::kClassification;
  task.context = "{findings}";
  task.question = "阳性？";
  task.answer = "{label:abnormal}";
  task.labels = {{"yes", "阳性"}, {"no", "阴性"}};
  return task;
}

}  // namespace

TEST_CASE("Example: templates are filled from texts, modality and centre") {
  Task task = summary();
  task.question = "{centre}的诊断？";
  const auto example = make_example(report(), task);
  REQUIRE(example);
  CHECK(example->context == "CT：双肺清晰。");
  CHECK(example->question == "north的诊断？");
  CHECK(example->answer == "未见异常。");
  CHECK(example->label == -1);
}

TEST_CASE("Example: takes the weight of its task") {
  Task task = positive();
  CHECK(make_example(report(), task)->weight == 1);
  task.weight = 4;
  CHECK(make_example(report(), task)->weight == 4);
}

TEST_CASE("Example: a classification answers with the label's word and index") {
  const auto example = make_example(report(), positive());
  REQUIRE(example);
  CHECK(example->answer == "阴性");
  CHECK(example->label == 1);
  Report abnormal = report();
  abnormal.labels["abnormal"] = "yes";
  CHECK(make_example(abnormal, positive())->answer == "阳性");
  CHECK(make_example(abnormal, positive())->label == 0);
}

TEST_CASE("Example: a report that lacks a field or label gives none") {
  Report bare = report();
  bare.texts.erase("impression");
  CHECK_FALSE(make_example(bare, summary()));
  bare.labels["abnormal"] = "unsure";
  CHECK_FALSE(make_example(bare, positive()));
  bare.labels.clear();
  CHECK_FALSE(make_example(bare, positive()));
}

TEST_CASE("Example: a value with braces is text, not a placeholder") {
  Report odd = report();
  odd.texts["findings"] = "见{impression}与{";
  CHECK(make_example(odd, summary())->context == "CT：见{impression}与{");
}

TEST_CASE("Example: refuses bad templates whatever the report, naming task and key") {
  const auto message = [](const Task& task) -> std::string {
    try {
      make_example(Report{}, task);
    } catch (const Error& error) {
      return error.what();
    }
    return "accepted";
  };
  Task task = summary();
  task.context = "所见{findings";
  CHECK(message(task) ==
        "task summary: context: every { must be closed by a }, got { without } "
        "at byte 6");
  task.context = "{text:findings here}";
  CHECK(message(task).find("context: a placeholder must be {FIELD} or {label:NAME}") !=
        std::string::npos);
  task.context = "{}";
  CHECK(message(task).find("got another at byte 0") != std::string::npos);
  task = summary();
  task.answer = "";
  CHECK(message(task) == "task summary: answer: must be a template, got nothing");
  task = positive();
  task.answer = "答：{label:abnormal}";
  CHECK(message(task).find("task positive: answer: must be a single {label:NAME}") !=
        std::string::npos);
  task = positive();
  task.labels.resize(1);
  CHECK(message(task).find("labels: must list two labels or more") != std::string::npos);
}

TEST_CASE("Example: a data set goes report by report, then task by task") {
  std::vector<Report> reports = {report(), report(), report()};
  reports[1].texts.erase("impression");
  const auto examples = make_examples(reports, {summary(), positive()});
  std::vector<std::pair<int, int>> order;
  for (const Example& example : examples) order.emplace_back(example.report, example.task);
  CHECK(order == std::vector<std::pair<int, int>>{{0, 0}, {0, 1}, {1, 1}, {2, 0}, {2, 1}});
}

TEST_CASE("Example: the shipped tasks are two classifications and two generations") {
  Report full = report();
  full.labels["disease"] = "none";
  full.texts["brief"] = "双肺清晰";
  const auto tasks = default_tasks();
  const auto examples = make_examples({full}, tasks);
  REQUIRE(tasks.size() == 4);
  REQUIRE(examples.size() == 4);
  CHECK(tasks[0].kind == TaskKind::kClassification);
  CHECK(tasks[1].kind == TaskKind::kClassification);
  CHECK(tasks[2].kind == TaskKind::kGeneration);
  CHECK(tasks[3].kind == TaskKind::kGeneration);
  CHECK(examples[0].context == examples[1].context);
  CHECK(examples[1].context == examples[2].context);
}
