#include "libradgpt/record/run_record.h"

#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "libradgpt/base/hash.h"
#include "libradgpt/record/summary.h"
#include "tests/catch.h"

namespace radgpt {
namespace {

namespace fs = std::filesystem;

struct Folder {
  Folder() {
    char pattern[] = "/tmp/radgpt-record-XXXXXX";
    path = ::mkdtemp(pattern);
  }
  ~Folder() { fs::remove_all(path); }
  std::string path;
};

std::string bytes_of(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

std::vector<nlohmann::json> lines_of(const std::string& folder) {
  std::ifstream file(folder + "/run.jsonl");
  std::vector<nlohmann::json> lines;
  for (std::string line; std::getline(file, line);) lines.push_back(nlohmann::json::parse(line));
  return lines;
}

StepRecord step_record(int64_t step, double loss) {
  StepRecord record;
  record.step = step;
  record.loss = loss;
  record.seconds = 0.5;
  record.tokens = 100;
  return record;
}

TEST_CASE("Run record: a loss is read back with the bits it had") {
  const Folder folder;
  RunRecord record(folder.path, 0);
  const double loss = 0.1 + 0.2;
  record.on_step(step_record(1, loss));
  record.on_step(step_record(2, std::numeric_limits<double>::quiet_NaN()));
  const auto lines = lines_of(folder.path);
  REQUIRE(lines.size() == 2);
  CHECK(lines[0]["loss"].get<double>() == loss);
  CHECK(lines[1]["loss"] == "nan");
}

TEST_CASE("Run record: a resume drops the steps that are done again, and a line cut by a crash") {
  const Folder folder;
  {
    RunRecord record(folder.path, 0);
    for (int64_t step = 1; step <= 5; ++step) record.on_step(step_record(step, 1.0));
    record.on_evaluation({3, 0.5, 10, true});
    record.on_note("a note");
  }
  std::ofstream(folder.path + "/run.jsonl", std::ios::app) << "{\"kind\":\"st";
  RunRecord record(folder.path, 3);
  record.on_step(step_record(4, 2.0));
  const auto lines = lines_of(folder.path);
  REQUIRE(lines.size() == 6);
  CHECK(lines[2]["step"] == 3);
  CHECK(lines[3]["kind"] == "evaluation");
  CHECK(lines[4]["kind"] == "note");
  CHECK(lines[5]["loss"] == 2.0);
}

/// Reads TFRecords the way TensorBoard does: length, its checksum, bytes, their checksum.
std::vector<std::string> records_of(const std::string& bytes) {
  const auto masked = [](const std::string& text) {
    const uint32_t crc = crc32c(text);
    return ((crc >> 15) | (crc << 17)) + 0xa282ead8u;
  };
  std::vector<std::string> records;
  for (size_t at = 0; at < bytes.size();) {
    uint64_t length = 0;
    uint32_t checks[2];
    std::memcpy(&length, bytes.data() + at, 8);
    std::memcpy(&checks[0], bytes.data() + at + 8, 4);
    const std::string record = bytes.substr(at + 12, length);
    std::memcpy(&checks[1], bytes.data() + at + 12 + length, 4);
    REQUIRE(checks[0] == masked(bytes.substr(at, 8)));
    REQUIRE(checks[1] == masked(record));
    records.push_back(record);
    at += 16 + length;
  }
  return records;
}

TEST_CASE("Event file: holds a version and one scalar message a value") {
  const Folder folder;
  EventFile events(folder.path, 1234.0);
  events.add_scalar("train/loss", 300, 2.5, 1235.0);
  const auto records = records_of(bytes_of(folder.path + "/events.out.tfevents.1234.radgpt"));
  REQUIRE(records.size() == 2);
  CHECK(records[0].find("brain.Event:2") != std::string::npos);
  // step = 300 as the varint ac 02 behind key 10; simple_value = 2.5f behind key 15.
  CHECK(records[1].find(std::string("\x10\xac\x02")) != std::string::npos);
  CHECK(records[1].find("train/loss") != std::string::npos);
  CHECK(records[1].find(std::string("\x15\x00\x00\x20\x40", 5)) != std::string::npos);
}

TEST_CASE("Summary: a section is replaced where it stands, others stay") {
  const Folder folder;
  const std::string page = folder.path + "/summary.md";
  write_summary_section(page, "Run x", "Training", "one\n");
  write_summary_section(page, "Run x", "Scores", "two\n");
  write_summary_section(page, "Run x", "Training", "three\n");
  CHECK(bytes_of(page) == "# Run x\n\n## Training\n\nthree\n\n## Scores\n\ntwo\n\n");
}

}  // namespace
}  // namespace radgpt
