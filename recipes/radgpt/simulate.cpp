#include "libradgpt/data/simulate.h"

#include <iostream>

#include "recipes/radgpt/verbs.h"

namespace radgpt {
namespace {

constexpr uint64_t kMostReports = 10'000'000;  // 7 GB; the names of reports have room for no more

struct SimulateArguments {
  std::string out;
  uint64_t reports = 12000;
  uint64_t seed = 0;
};

void simulate(const SimulateArguments& arguments) {
  write_simulated_reports(arguments.out, arguments.reports, arguments.seed);
  std::cout << arguments.reports << " reports in " << arguments.out << "/reports.jsonl\n";
}

}  // namespace

void add_simulate(CLI::App& app) {
  CLI::App* verb =
      app.add_subcommand("simulate", "write made-up reports of three modalities and two centres");
  verb->footer(
      "Writes DIR/reports.jsonl, one JSON object a line: id, patient, centre (north, south),\n"
      "modality (CT: chest, MR: brain, US: thyroid), findings, impression, brief (key phrases)\n"
      "and labels: abnormal (yes: to be treated or followed up) and disease. Findings, impression\n"
      "and labels agree, for they are written from one made-up case. The same seed gives the same\n"
      "reports, and more reports begin with the fewer.");
  auto arguments = std::make_shared<SimulateArguments>();
  verb->add_option("--out", arguments->out, "folder to write; made if it is missing")->required();
  verb->add_option("--reports", arguments->reports, "how many")
      ->check(CLI::Range(uint64_t{1}, kMostReports))
      ->capture_default_str();
  verb->add_option("--seed", arguments->seed, "another seed, other reports")->capture_default_str();
  verb->callback([arguments] { simulate(*arguments); });
}

}  // namespace radgpt
