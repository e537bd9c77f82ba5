#include "libradgpt/eval/score_report.h"

#include <nlohmann/json.hpp>

#include "tests/catch.h"
#include "tests/data/small_tokenizer.h"
#include "tests/eval/small_corpus.h"

namespace radgpt {
namespace {

/// Baselines, base and adapter about six reports; the models repeat the reference.
struct Scored {
  std::vector<Task> tasks = small_tasks();
  CorpusPart part = small_part(6, tasks);
  EvaluationSet set = make_evaluation_set(part, tasks, small_tokenizer(), {});
  std::vector<SystemAnswers> systems = answer_with_baselines(set, part);
  std::vector<std::string> names;
  std::vector<ScoreGroup> groups;

  Scored() {
    for (const char* model : {"base", "adapter"}) {
      SystemAnswers& added = systems.emplace_back(SystemAnswers{model, {}});
      for (const EvaluationItem& item : set.items) {
        Answer& answer = added.answers.emplace_back().emplace();
        answer.text = item.example->answer;
        answer.label = item.example->label;
      }
    }
    for (const SystemAnswers& system : systems) names.push_back(system.system);
    groups = score(set, systems, {.resamples = 0});
  }
};

TEST_CASE("Score tables: baselines come first, then base, then adapter") {
  const Scored scored;
  const std::vector<std::string> columns = {
      "task", "centre", "score", "items", "majority", "lead", "nearest neighbour",
      "base", "adapter"};
  const ScoreTable table =
      headline_table(scored.groups, scored.tasks, scored.names, TableRows::kCentres);
  CHECK(table.headers == columns);
  REQUIRE(table.rows.size() == 4);
  for (const ScoreRow& row : table.rows) {
    const bool classifies = row.cells[0].text == "abnormal";
    CHECK(row.cells[4].value.has_value() == classifies);
    CHECK(row.cells[5].value.has_value() == !classifies);
    CHECK(row.cells[8].value.value_or(0) == Approx(1));
  }
}

TEST_CASE("Score tables: scores.json has the systems of a task in the same order") {
  const Scored scored;
  const auto json = nlohmann::json::parse(scores_as_json(scored.groups, scored.tasks));
  const auto names_of = [](const nlohmann::json& group) {
    std::vector<std::string> names;
    for (const nlohmann::json& system : group.at("systems")) names.push_back(system.at("system"));
    return names;
  };
  using Names = std::vector<std::string>;
  CHECK(names_of(json.front()) == Names{"majority", "nearest neighbour", "base", "adapter"});
  CHECK(names_of(json.back()) == Names{"lead", "nearest neighbour", "base", "adapter"});
}

}  // namespace
}  // namespace radgpt
