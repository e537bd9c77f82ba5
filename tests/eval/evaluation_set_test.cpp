#include "libradgpt/eval/evaluation_set.h"

#include <algorithm>
#include <set>

#include "tests/catch.h"
#include "tests/data/small_tokenizer.h"
#include "tests/eval/small_corpus.h"

namespace radgpt {
namespace {

EvaluationSet make_set(const CorpusPart& part, const std::vector<Task>& tasks,
                       const EvaluationSetOptions& options = {}) {
  return make_evaluation_set(part, tasks, small_tokenizer(), options);
}

std::set<std::string> ids_of(const EvaluationSet& set) {
  std::set<std::string> ids;
  for (const EvaluationItem& item : set.items) ids.insert(set.report(item).id);
  return ids;
}

TEST_CASE("Evaluation set: a limit draws from the reports of all files") {
  const std::vector<Task> tasks = small_tasks();
  const CorpusPart part = small_part(200, tasks);
  const EvaluationSet set = make_set(part, tasks, {.limit = 40, .salt = "a"});
  CHECK(set.items.size() == 80);
  std::map<std::string, int> centres;
  for (const EvaluationItem& item : set.items) ++centres[set.report(item).centre];
  // A fair draw of 40 from two halves has 20 of each with a deviation of 3 reports.
  CHECK(centres["north"] > 2 * 8);
  CHECK(centres["south"] > 2 * 8);
}

TEST_CASE("Evaluation set: the draw depends on ids and salt, not on the order of reports") {
  const std::vector<Task> tasks = small_tasks();
  const CorpusPart part = small_part(60, tasks);
  std::vector<Report> reports = part.reports;
  std::reverse(reports.begin(), reports.end());
  const CorpusPart reversed = small_part(reports, tasks);
  const auto drawn = ids_of(make_set(part, tasks, {.limit = 20, .salt = "a"}));
  CHECK(drawn.size() == 20);
  CHECK(ids_of(make_set(reversed, tasks, {.limit = 20, .salt = "a"})) == drawn);
  CHECK(ids_of(make_set(part, tasks, {.limit = 20, .salt = "b"})) != drawn);
  const auto more = ids_of(make_set(part, tasks, {.limit = 30, .salt = "a"}));
  CHECK(std::includes(more.begin(), more.end(), drawn.begin(), drawn.end()));
  CHECK(ids_of(make_set(part, tasks, {.limit = 100})).size() == 60);
}

TEST_CASE("Evaluation set: one task alone, drawn from the reports that have it") {
  const std::vector<Task> tasks = small_tasks();
  std::vector<Report> reports = small_part(6, tasks).reports;
  for (int i = 0; i < 4; ++i) reports[static_cast<size_t>(i)].texts.erase("impression");
  const CorpusPart part = small_part(reports, tasks);
  const EvaluationSet set = make_set(part, tasks, {.limit = 2, .task = 1});
  CHECK(ids_of(set) == std::set<std::string>{"r4", "r5"});
  CHECK(set.items.size() == 2);
  CHECK(set.counts[0].items == 0);
  CHECK(set.counts[1].items == 2);
}

TEST_CASE("Evaluation set: labels that read the same are refused before anything is asked") {
  std::vector<Task> tasks = small_tasks();
  const CorpusPart part = small_part(6, tasks);
  tasks[0].labels[1].second = "阳性。";
  CHECK_THROWS_WITH(
      make_set(part, tasks),
      "task abnormal: label parser: labels 0 and 1 must have different forms, got the "
      "same one");
}

TEST_CASE("Evaluation set: what cannot be scored is counted by task") {
  const std::vector<Task> tasks = small_tasks();
  std::vector<Report> reports = small_part(6, tasks).reports;
  reports[0].labels["abnormal"] = "perhaps";
  reports[1].labels.clear();  // nothing to count: the report simply lacks the label
  reports[2].texts.erase("impression");
  reports[3].texts["findings"] += "双肺清晰，心影不大，纵隔居中，未见肿大淋巴结。";
  reports[3].texts["impression"] = "双肺未见明显异常，建议随访复查，必要时进一步检查。";
  const CorpusPart part = small_part(reports, tasks);
  const EvaluationSet set = make_set(part, tasks, {.max_tokens = 40});
  CHECK(set.counts[0].unlisted == 1);
  CHECK(set.counts[0].items == 4);
  CHECK(set.counts[1].unlisted == 0);
  CHECK(set.counts[1].too_long == 1);
  CHECK(set.counts[1].items == 4);
  CHECK(set.items.size() == 8);
}

}  // namespace
}  // namespace radgpt
