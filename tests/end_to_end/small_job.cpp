#include "tests/end_to_end/small_job.h"

#include <fstream>

#include "libradgpt/base/error.h"
#include "libradgpt/base/hash.h"
#include "tests/catch.h"

namespace radgpt {
namespace {

void require_success(const std::vector<std::string>& arguments) {
  const ProcessResult result = run_radgpt(arguments);
  INFO(result.errors);
  REQUIRE(result.exit_code == 0);
}

}  // namespace

const std::string& small_reports() {
  static const TemporaryFolder folder;
  static const std::string reports = [] {
    require_success({"simulate", "--out", folder.path(), "--reports", "150", "--seed", "3"});
    return folder.file("reports.jsonl");
  }();
  return reports;
}

const std::string& small_base() {
  static const TemporaryFolder folder;
  static const std::string base = [] {
    const std::string recipe = folder.write(
        "base.yaml",
        concat("model: {hidden_size: 64, intermediate_size: 160, layers: 2, heads: 2,\n"
               "        position: rope, max_length: 512, tokenizer_pieces: 2000}\n"
               "data: {sources: [{reports: [",
               small_reports(),
               "]}]}\n"
               "tasks: [{name: report, answer: \"{findings}\\n{impression}\"}]\n"
               "train: {parameters: full, steps: 8, pack_tokens: 1024, seed: 1, threads: 1}\n"
               "optim: {learning_rate: 0.01}\n"
               "output: {folder: ",
               folder.file("run"), "}\n"));
    require_success({"train", recipe});
    return folder.file("run/model");
  }();
  return base;
}

std::string write_adapter_recipe(const TemporaryFolder& folder, const std::string& reports) {
  return folder.write("recipe.yaml",
                      concat("model: {path: ", small_base(),
                             ", max_length: 512}\n"
                             "data: {sources: [{reports: [",
                             reports,
                             "]}], validation_fraction: 0.05}\n"
                             "lora: {rank: 4, alpha: 8, dropout: 0.1, targets: [all]}\n"
                             "train: {steps: ",
                             kSteps,
                             ", pack_tokens: 512, packs_per_step: 2, seed: 2, threads: 1,\n"
                             "        evaluate_every: 1, save_every: 2}\n"
                             "optim: {learning_rate: 0.02}\n"
                             "evaluate: {max_new_tokens: 8, bootstrap: 20}\n"
                             "output: {folder: ",
                             folder.file("run"), "}\n"));
}

std::vector<std::string> arguments_of(const std::string& verb, const TemporaryFolder& folder,
                                      const std::vector<std::string>& overrides) {
  std::vector<std::string> arguments = {verb, folder.file("recipe.yaml")};
  arguments.insert(arguments.end(), overrides.begin(), overrides.end());
  return arguments;
}

std::vector<nlohmann::json> json_lines(const std::string& path) {
  std::ifstream file(path);
  std::vector<nlohmann::json> lines;
  for (std::string line; std::getline(file, line);) lines.push_back(nlohmann::json::parse(line));
  return lines;
}

RunTrace trace_of(const TemporaryFolder& folder) {
  RunTrace trace;
  for (const nlohmann::json& line : json_lines(folder.file("run/run.jsonl"))) {
    if (line.at("kind") != "step") continue;
    trace.losses.push_back(line.at("loss").get<double>());
    REQUIRE(line.at("step") == trace.losses.size());
  }
  trace.adapter = to_hex(sha256_of_file(folder.file("run/adapter/adapter_model.safetensors")));
  return trace;
}

const RunTrace& undisturbed_trace() {
  static const RunTrace trace = [] {
    const TemporaryFolder folder;
    write_adapter_recipe(folder, small_reports());
    require_success(arguments_of("train", folder));
    return trace_of(folder);
  }();
  return trace;
}

}  // namespace radgpt
