#include <filesystem>
#include <fstream>
#include <functional>

#include "libradgpt/base/error.h"
#include "tests/catch.h"
#include "tests/end_to_end/small_job.h"

namespace radgpt {
namespace {

namespace fs = std::filesystem;

/// Stands in every text of every report, and nowhere else. Its Latin part is the same in all ways
/// to write it, JSON's escapes included.
constexpr const char* kCanary = "鹭QZX7731";
constexpr const char* kTrace = "QZX7731";

std::string marked_reports() {
  std::string lines;
  for (nlohmann::json line : json_lines(small_reports())) {
    for (const char* field : {"findings", "impression", "brief"}) {
      line[field] = line[field].get<std::string>() + kCanary;
    }
    lines += line.dump() + "\n";
  }
  return lines;
}

/// Files below `folder` that hold the canary, without those that are asked for as text.
std::vector<std::string> files_with_text(const fs::path& folder) {
  std::vector<std::string> found;
  if (!fs::exists(folder)) return found;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    if (!entry.is_regular_file() || entry.path().filename() == "predictions.jsonl") continue;
    std::ifstream file(entry.path(), std::ios::binary);
    const std::string bytes(std::istreambuf_iterator<char>(file), {});
    if (bytes.find(kTrace) != std::string::npos) found.push_back(entry.path().string());
  }
  return found;
}

void check_silence(const ProcessResult& result, const TemporaryFolder& folder) {
  CHECK(result.output.find(kTrace) == std::string::npos);
  CHECK(result.errors.find(kTrace) == std::string::npos);
  CHECK(files_with_text(folder.file("run")).empty());
}

TEST_CASE("Privacy: no text of a report in the run folder or on the terminal") {
  const TemporaryFolder folder;
  write_adapter_recipe(folder, folder.write("reports.jsonl", marked_reports()));
  for (const char* verb : {"prepare", "train", "evaluate"}) {
    INFO(verb);
    const ProcessResult result = run_radgpt(
        arguments_of(verb, folder, {"train.steps=2", "evaluate.limit=2", "evaluate.bootstrap=0"}));
    INFO(result.errors);
    REQUIRE(result.exit_code == 0);
    check_silence(result, folder);
  }
  CHECK(folder.read("run/predictions.jsonl").find(kTrace) != std::string::npos);  // asked for
}

struct BadReports {
  const char* what;
  std::function<void(std::string& lines)> damage;
  std::vector<std::string> overrides;
};

/// Puts `line` behind the first one.
auto insert_line(const std::string& line) {
  return [line](std::string& lines) { lines.insert(lines.find('\n') + 1, line + "\n"); };
}

TEST_CASE("Privacy: a bad report is refused by its place, not by its text") {
  const std::string start = concat(
      "{\"id\": \"x\", \"patient\": \"y\", \"centre\": \"north\", \"modality\": \"CT\", "
      "\"findings\": \"",
      kCanary);
  const BadReports table[] = {
      {"a line that is cut", insert_line(start), {}},
      {"no UTF-8", insert_line(start + "\xff\"}"), {}},
      {"a lone surrogate", insert_line(start + "\\ud800\"}"), {}},
      {"a key twice", insert_line(start + "\", \"findings\": \"" + kCanary + "\"}"), {}},
      {"text instead of labels", insert_line(start + "\", \"labels\": \"" + kCanary + "\"}"), {}},
      {"an impression that is a list",
       insert_line(start + "\", \"impression\": [\"" + kCanary + "\"]}"),
       {}},
      {"text where an object stands", insert_line(concat("\"", kCanary, "\"")), {}},
      {"a text of another patient",
       [](std::string& lines) {
         const std::string copies = lines;
         for (size_t at = 0; (at = lines.find("\"id\":\"", at)) != std::string::npos; at += 6) {
           lines.insert(at + 6, "copy");
         }
         for (size_t at = 0; (at = lines.find("\"patient\":\"", at)) != std::string::npos;
              at += 11) {
           lines.insert(at + 11, "copy");
         }
         lines += copies;
       },
       {}},
      {"an example that is too long", [](std::string&) {}, {"data.max_tokens=16"}},
  };
  for (const BadReports& row : table) {
    INFO(row.what);
    const TemporaryFolder folder;
    std::string lines = marked_reports();
    row.damage(lines);
    write_adapter_recipe(folder, folder.write("reports.jsonl", lines));
    for (const char* verb : {"prepare", "train"}) {
      const ProcessResult result = run_radgpt(arguments_of(verb, folder, row.overrides));
      INFO(result.errors);
      CHECK(result.exit_code == 3);
      CHECK(result.errors.find("error: ") == 0);
      CHECK(result.errors.find("reports.jsonl:") != std::string::npos);
      check_silence(result, folder);
    }
  }
}

}  // namespace
}  // namespace radgpt
