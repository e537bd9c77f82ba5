#pragma once

#include <string>
#include <vector>

#include "libradgpt/data/corpus.h"

namespace radgpt {

/// A classification and a summary of findings.
inline std::vector<Task> small_tasks() {
  return {{.name = "abnormal",
           .kind = TaskKind::kClassification,
           .context = "影像所见：{findings}",
           .question = "阳性还是阴性？",
           .answer = "{label:abnormal}",
           .labels = {{"yes", "阳性"}, {"no", "阴性"}}},
          {.name = "summary",
           .kind = TaskKind::kGeneration,
           .context = "影像所见：{findings}",
           .question = "影像诊断？",
           .answer = "{impression}",
           .labels = {}}};
}

inline Report small_report(const std::string& id, const std::string& centre, bool abnormal) {
  Report report;
  report.id = report.patient = id;
  report.centre = centre;
  report.modality = "CT";
  report.texts = {{"findings", abnormal ? "右肺见结节。" + id : "双肺清晰。" + id},
                  {"impression", abnormal ? "肺结节。" : "未见异常。"}};
  report.labels = {{"abnormal", abnormal ? "yes" : "no"}};
  report.source = {"small.jsonl", 1};
  return report;
}

inline CorpusPart small_part(std::vector<Report> reports, const std::vector<Task>& tasks) {
  CorpusPart part;
  part.reports = std::move(reports);
  part.examples = make_examples(part.reports, tasks);
  return part;
}

/// `count` reports of two centres, file after file: first all of north, then as many of south;
/// every third is abnormal.
inline CorpusPart small_part(int count, const std::vector<Task>& tasks) {
  std::vector<Report> reports;
  for (int i = 0; i < count; ++i) {
    reports.push_back(
        small_report("r" + std::to_string(i), 2 * i < count ? "north" : "south", i % 3 == 0));
  }
  return small_part(std::move(reports), tasks);
}

}  // namespace radgpt
