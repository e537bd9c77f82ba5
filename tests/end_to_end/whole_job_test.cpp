#include <filesystem>
#include <numeric>

#include "libradgpt/base/error.h"
#include "libradgpt/base/files.h"
#include "libradgpt/base/hash.h"
#include "libradgpt/config/recipe_file.h"
#include "libradgpt/formats/json.h"
#include "libradgpt/formats/safetensors.h"
#include "tests/catch.h"
#include "tests/end_to_end/small_job.h"

namespace radgpt {
namespace {

namespace fs = std::filesystem;

/// The line of a table that names both; empty if there is none.
std::string row_of(const std::string& table, const std::string& task, const std::string& centre) {
  for (size_t begin = 0; begin < table.size();) {
    const size_t end = table.find('\n', begin);
    const std::string line = table.substr(begin, end - begin);
    if (line.find(task) != std::string::npos && line.find(centre) != std::string::npos) return line;
    if (end == std::string::npos) break;
    begin = end + 1;
  }
  return "";
}

void check_four_tasks_and_two_centres(const std::string& table) {
  for (const char* task : {"abnormal", "disease", "summary", "expansion"}) {
    for (const char* centre : {"north", "south"}) {
      INFO(task << " " << centre);
      CHECK(row_of(table, task, centre) != "");
    }
  }
}

void check_training_record(const TemporaryFolder& folder) {
  const std::string run = folder.file("run");
  CHECK(write_recipe(read_recipe(run + "/recipe.yaml")) == folder.read("run/recipe.yaml"));
  const nlohmann::json manifest = read_json_file(run + "/manifest.json", 1 << 20);
  const std::string weights = run + "/adapter/adapter_model.safetensors";
  CHECK(manifest.at("result").at("end") == "finished");
  CHECK(manifest.at("result").at("adapter_model.safetensors") == to_hex(sha256_of_file(weights)));
  CHECK(manifest.at("inputs").at(small_reports()) == to_hex(sha256_of_file(small_reports())));
  CHECK(manifest.at("counts").at("steps") == kSteps);
  CHECK(SafetensorsFile(weights).tensors().size() == 2 * 5 * 2);  // layers × linears × (A, B)
  CHECK(read_json_file(run + "/adapter/adapter_config.json", 1 << 20).at("r") == 4);
  CHECK(fs::exists(run + "/checkpoints/step-12/MANIFEST.json"));
  int event_files = 0;
  for (const auto& entry : fs::directory_iterator(run)) {
    const std::string name = entry.path().filename().string();
    if (!name.starts_with("events.out.tfevents.")) continue;
    ++event_files;
    const std::string events = folder.read("run/" + name);
    CHECK(events.find("brain.Event:2") != std::string::npos);
    CHECK(events.find("validation/loss") != std::string::npos);
  }
  CHECK(event_files == 1);
}

void check_scores(const TemporaryFolder& folder) {
  CHECK(read_json_file(folder.file("run/scores.json"), 1 << 24).size() > 0);
  const auto predictions = json_lines(folder.file("run/predictions.jsonl"));
  CHECK(predictions.size() > 0);
  const std::string summary = folder.read("run/summary.md");
  CHECK(summary.find("## Training") != std::string::npos);
  REQUIRE(summary.find("## Scores") != std::string::npos);
  check_four_tasks_and_two_centres(summary.substr(summary.find("## Scores")));
}

/// The result in every layout, each with a card that carries on what the run says of itself.
void check_exports(const TemporaryFolder& folder) {
  const std::string digest =
      to_hex(sha256_of_file(folder.file("run/adapter/adapter_model.safetensors")));
  CHECK(folder.read("run/adapter/README.md").find("## Scores") != std::string::npos);
  const std::vector<std::pair<std::string, std::vector<std::string>>> table = {
      {"config.json", {}},
      {"tokenizer.json", {"--llama"}},
      {"model-fp16.gguf", {"--gguf", "--type", "fp16"}}};
  for (const auto& [file, layout] : table) {
    INFO(file);
    std::vector<std::string> arguments = {"merge",
                                          "--model",
                                          small_base(),
                                          "--adapter",
                                          folder.file("run/adapter"),
                                          "--out",
                                          folder.file(file + ".out")};
    arguments.insert(arguments.end(), layout.begin(), layout.end());
    const ProcessResult result = run_radgpt(arguments);
    INFO(result.errors);
    REQUIRE(result.exit_code == 0);
    CHECK(result.output.find("merged model in ") != std::string::npos);
    CHECK(fs::exists(folder.file(file + ".out/" + file)));
    const std::string card = folder.read(file + ".out/README.md");
    CHECK(card.find(digest) != std::string::npos);
    CHECK(card.find("## Scores") != std::string::npos);
    CHECK(card.find(folder.path()) == std::string::npos);
  }
}

TEST_CASE("Whole job: reports become a base, an adapter that has learnt, and a table of scores") {
  const TemporaryFolder folder;
  write_adapter_recipe(folder, small_reports());
  const ProcessResult train = run_radgpt(arguments_of("train", folder));
  INFO(train.errors);
  REQUIRE(train.exit_code == 0);
  CHECK(train.output == "trained 12 steps; result in " + folder.file("run/adapter") + "\n");

  const std::vector<double> losses = trace_of(folder).losses;
  REQUIRE(losses.size() == kSteps);
  const double first = std::accumulate(losses.begin(), losses.begin() + 3, 0.0) / 3;
  const double last = std::accumulate(losses.end() - 3, losses.end(), 0.0) / 3;
  CHECK(last < 0.95 * first);
  check_training_record(folder);

  const ProcessResult evaluate = run_radgpt(arguments_of("evaluate", folder));
  INFO(evaluate.errors);
  REQUIRE(evaluate.exit_code == 0);
  check_four_tasks_and_two_centres(evaluate.output);
  for (const char* system : {"majority", "nearest neighbour", "base", "adapter"}) {
    CHECK(evaluate.output.find(system) != std::string::npos);
  }
  check_scores(folder);
  check_exports(folder);
}

TEST_CASE("Whole job: dropped copies of held-out texts are told, counted and recorded") {
  std::string reports = read_file(small_reports(), 1 << 20);
  for (nlohmann::json line : json_lines(small_reports())) {  // all texts once more, of others
    line["id"] = line["id"].get<std::string>() + "-copy";
    line["patient"] = line["patient"].get<std::string>() + "-copy";
    reports += line.dump() + "\n";
  }
  const TemporaryFolder folder;
  write_adapter_recipe(folder, folder.write("reports.jsonl", reports));
  CHECK(run_radgpt(arguments_of("train", folder)).exit_code == 3);
  const std::vector<std::string> overrides = {"data.duplicates=drop", "train.steps=1",
                                              "output.existing=overwrite"};
  const ProcessResult train = run_radgpt(arguments_of("train", folder, overrides));
  INFO(train.errors);
  REQUIRE(train.exit_code == 0);
  const nlohmann::json manifest = read_json_file(folder.file("run/manifest.json"), 1 << 20);
  const int dropped = manifest.at("counts").at("copies of held-out texts dropped").get<int>();
  CHECK(dropped > 10);
  CHECK(train.errors.starts_with(concat("dropped ", dropped, " copies of held-out texts\n")));
  CHECK(folder.read("run/summary.md")
            .find(concat("| copies of held-out texts dropped | ", dropped, " |")) !=
        std::string::npos);
  const ProcessResult prepare = run_radgpt(arguments_of("prepare", folder, overrides));
  CHECK(prepare.exit_code == 0);
  CHECK(prepare.output.find("dropped for a later split's copy") != std::string::npos);
}

TEST_CASE("Whole job: the same recipe again gives the same losses and the same file") {
  const TemporaryFolder folder;
  write_adapter_recipe(folder, small_reports());
  REQUIRE(run_radgpt(arguments_of("train", folder)).exit_code == 0);
  CHECK(trace_of(folder) == undisturbed_trace());
}

TEST_CASE("Whole job: two threads give the bits of one") {
  const TemporaryFolder folder;
  write_adapter_recipe(folder, small_reports());
  REQUIRE(run_radgpt(arguments_of("train", folder, {"train.threads=2"})).exit_code == 0);
  CHECK(trace_of(folder) == undisturbed_trace());
}

}  // namespace
}  // namespace radgpt
