#include "libradgpt/data/simulate.h"

#include <array>
#include <cstdio>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string_view>
#include <system_error>
#include <utility>

#include "libradgpt/base/error.h"
#include "libradgpt/base/files.h"
#include "libradgpt/base/random.h"
#include "libradgpt/data/simulate_case.h"
#include "libradgpt/data/simulate_style.h"

namespace radgpt {
namespace {

/// What the numbers of RandomStream::kSimulation are for: the second key beside a number.
enum Purpose : uint32_t { kWording, kBlock, kPatient, kFirstVisit };

Random draw(uint64_t seed, uint64_t number, uint32_t purpose) {
  return {seed, RandomStream::kSimulation, number, purpose};
}

/// Whose report it is and which one of that patient's.
struct Visit {
  uint64_t patient = 0;
  int number = 0;
};

/// Blocks of 8 reports are those of 5 patients with 3, 2, 1, 1 and 1 reports in a shuffled order,
/// so that patient and visit follow from the report's number without counting from the first.
Visit visit_of(uint64_t seed, uint64_t report) {
  constexpr uint64_t kReportsPerBlock = 8;
  std::array<int, 5> reports = {3, 2, 1, 1, 1};
  const uint64_t block = report / kReportsPerBlock;
  Random random = draw(seed, block, kBlock);
  for (size_t i = reports.size() - 1; i > 0; --i) {
    std::swap(reports[i], reports[random.next_below(static_cast<uint32_t>(i + 1))]);
  }
  int left = static_cast<int>(report % kReportsPerBlock);
  size_t patient = 0;
  while (left >= reports[patient]) left -= reports[patient++];
  return {block * reports.size() + patient, left};
}

CaseState case_at(uint64_t seed, const Visit& visit) {
  Random first = draw(seed, visit.patient, kPatient);
  CaseState state = sample_case(first);
  for (int i = 0; i < visit.number; ++i) {
    Random next = draw(seed, visit.patient, kFirstVisit + static_cast<uint32_t>(i));
    advance_case(state, next);
  }
  return state;
}

std::string numbered(const char* prefix, uint64_t number) {
  std::array<char, 40> text{};
  std::snprintf(text.data(), text.size(), "%s%07llu", prefix,
                static_cast<unsigned long long>(number));
  return text.data();
}

std::string json_line(const Report& report) {
  nlohmann::ordered_json line = {{"id", report.id},
                                 {"patient", report.patient},
                                 {"centre", report.centre},
                                 {"modality", report.modality}};
  for (const char* text : {"findings", "impression", "brief"}) line[text] = report.texts.at(text);
  line["labels"] = report.labels;
  return line.dump() + "\n";
}

}  // namespace

Report simulate_report(uint64_t seed, uint64_t number) {
  const Visit visit = visit_of(seed, number);
  const CaseState state = case_at(seed, visit);
  ReportWriter writer(state, draw(seed, number, kWording));
  Report report;
  report.id = numbered("r", number);
  report.patient = numbered("p", visit.patient);
  report.centre = state.centre == Centre::kNorth ? "north" : "south";
  report.modality = modality_model(state.modality).name;
  report.texts["findings"] = writer.findings();
  report.texts["impression"] = writer.impression();
  report.texts["brief"] = writer.brief();
  report.labels["abnormal"] = state.needs_action() ? "yes" : "no";
  report.labels["disease"] = state.disease();
  return report;
}

void write_simulated_reports(const std::string& folder, uint64_t count, uint64_t seed) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error) fail(ErrorKind::kEnvironment, folder, ": cannot be made: ", error.message());
  AtomicFile file(folder + "/reports.jsonl");
  for (uint64_t i = 0; i < count; ++i) file.write(json_line(simulate_report(seed, i)));
  file.commit();
}

}  // namespace radgpt
