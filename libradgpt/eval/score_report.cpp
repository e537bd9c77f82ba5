#include "libradgpt/eval/score_report.h"

#include <cmath>
#include <nlohmann/json.hpp>

#include "libradgpt/base/error.h"

namespace radgpt {

namespace {

using Json = nlohmann::ordered_json;

Json as_json(const SystemScores& scores) {
  Json values = Json::object();
  for (const auto& [name, interval] : scores.values) {
    if (interval.low == interval.value && interval.high == interval.value) {
      values[name] = interval.value;
    } else {
      values[name] = {{"value", interval.value}, {"low", interval.low}, {"high", interval.high}};
    }
  }
  Json json = {{"system", scores.system}, {"values", std::move(values)}};
  for (const PrecisionRecall& of_class : scores.per_class) {
    json["per_class"].push_back(
        {{"precision", of_class.precision}, {"recall", of_class.recall}, {"f1", of_class.f1}});
  }
  if (!scores.confusion.empty()) json["confusion"] = scores.confusion;
  return json;
}

const SystemScores* find_system(const ScoreGroup& group, const std::string& name) {
  for (const SystemScores& scores : group.systems) {
    if (scores.system == name) return &scores;
  }
  return nullptr;
}

ScoreCell cell_of(const ScoreGroup& group, const std::string& system, const std::string& metric) {
  const SystemScores* scores = find_system(group, system);
  if (scores == nullptr) return {"", std::nullopt};
  const auto found = scores->values.find(metric);
  if (found == scores->values.end()) return {"", std::nullopt};
  const Interval& value = found->second;
  if (value.low == value.high) return score_cell(value.value, 3);
  return score_cell(value.value, value.low, value.high, 3);
}

bool belongs(const ScoreGroup& group, TableRows rows) {
  return rows == TableRows::kCentres ? !group.centre.empty() : !group.modality.empty();
}

bool lower_is_better(const std::string& metric) {
  return metric == "ece" || metric == "brier" || metric == "invalid_rate";
}

}  // namespace

std::string scores_as_json(const std::vector<ScoreGroup>& groups, const std::vector<Task>& tasks) {
  Json json = Json::array();
  for (const ScoreGroup& group : groups) {
    const Task& task = tasks[static_cast<size_t>(group.task)];
    Json entry = {{"task", task.name},
                  {"headline", headline_metric(task.kind)},
                  {"centre", group.centre.empty() ? Json() : Json(group.centre)},
                  {"modality", group.modality.empty() ? Json() : Json(group.modality)},
                  {"items", group.items}};
    for (const auto& [value, answer] : task.labels) entry["labels"].push_back(value);
    for (const SystemScores& scores : group.systems) entry["systems"].push_back(as_json(scores));
    json.push_back(std::move(entry));
  }
  return json.dump(1) + "\n";
}

ScoreTable headline_table(const std::vector<ScoreGroup>& groups, const std::vector<Task>& tasks,
                          const std::vector<std::string>& systems, TableRows rows) {
  ScoreTable table;
  table.headers = {"task", rows == TableRows::kCentres ? "centre" : "modality", "score", "items"};
  table.headers.insert(table.headers.end(), systems.begin(), systems.end());
  for (const ScoreGroup& group : groups) {
    if (!belongs(group, rows)) continue;
    const Task& task = tasks[static_cast<size_t>(group.task)];
    const std::string metric = headline_metric(task.kind);
    ScoreRow row;
    row.cells = {{task.name, {}},
                 {group.centre + group.modality, {}},
                 {metric, {}},
                 {std::to_string(group.items), {}}};
    for (const std::string& system : systems) row.cells.push_back(cell_of(group, system, metric));
    table.rows.push_back(std::move(row));
  }
  return table;
}

ScoreTable detail_table(const std::vector<ScoreGroup>& groups, const std::vector<Task>& tasks,
                        const std::vector<std::string>& systems) {
  ScoreTable table;
  table.headers = {"task", "score"};
  table.headers.insert(table.headers.end(), systems.begin(), systems.end());
  for (const ScoreGroup& group : groups) {
    const SystemScores* last = systems.empty() ? nullptr : find_system(group, systems.back());
    if (!group.centre.empty() || !group.modality.empty() || last == nullptr) continue;
    for (const auto& [metric, interval] : last->values) {
      ScoreRow row;
      row.cells = {{tasks[static_cast<size_t>(group.task)].name, {}}, {metric, {}}};
      for (const std::string& system : systems) row.cells.push_back(cell_of(group, system, metric));
      row.better = lower_is_better(metric) ? Better::kLower : Better::kHigher;
      table.rows.push_back(std::move(row));
    }
  }
  return table;
}

std::string predictions_as_json_lines(const EvaluationSet& set,
                                      const std::vector<SystemAnswers>& systems) {
  std::string lines;
  for (size_t i = 0; i < set.items.size(); ++i) {
    const EvaluationItem& item = set.items[i];
    Json line = {{"report", set.report(item).id},
                 {"centre", set.report(item).centre},
                 {"modality", set.report(item).modality},
                 {"task", set.task(item).name},
                 {"reference", item.example->answer}};
    for (const SystemAnswers& system : systems) {
      if (!system.answers[i]) continue;
      const Answer& answer = *system.answers[i];
      Json& given = line["answers"][system.system];
      given["text"] = answer.text;
      if (!answer.probabilities.empty()) given["probabilities"] = answer.probabilities;
    }
    // A model may stop within a character; such bytes become U+FFFD.
    lines += line.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
  }
  return lines;
}

}  // namespace radgpt
