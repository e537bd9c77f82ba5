#include "libradgpt/record/run_record.h"

#include <chrono>
#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "libradgpt/base/error.h"
#include "libradgpt/base/files.h"

namespace radgpt {

namespace {

using Json = nlohmann::ordered_json;

double wall_time() {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return std::chrono::duration<double>(now).count();
}

/// A number, or the words "nan", "inf", "-inf" which JSON has no numbers for.
Json number(double value) {
  if (std::isfinite(value)) return value;
  if (std::isnan(value)) return "nan";
  return value > 0 ? "inf" : "-inf";
}

/// Leaves the lines up to `step`. The file is our own; a last line cut by a crash is dropped too.
void drop_lines_after(const std::string& path, int64_t step) {
  std::ifstream file(path);
  std::string kept;
  for (std::string line; std::getline(file, line);) {
    const Json json = Json::parse(line, nullptr, false);
    if (json.is_object() && json.value("step", int64_t{0}) <= step) kept += line + "\n";
  }
  file.close();
  write_file_atomically(path, kept);
}

}  // namespace

RunRecord::RunRecord(const std::string& folder, int64_t resume_step)
    : path_(folder + "/run.jsonl"), events_(folder, wall_time()) {
  if (resume_step > 0 && std::filesystem::exists(path_)) {
    drop_lines_after(path_, resume_step);
    lines_.open(path_, std::ios::app);
  } else {
    lines_.open(path_, std::ios::trunc);
  }
  if (!lines_) fail(ErrorKind::kEnvironment, path_, ": cannot be written");
}

void RunRecord::on_step(const StepRecord& record) {
  Json line = {{"kind", "step"},
               {"step", record.step},
               {"epoch", record.epoch},
               {"loss", number(record.loss)},
               {"gradient_norm", number(record.gradient_norm)},
               {"learning_rate", record.learning_rate},
               {"tokens", record.tokens},
               {"targets", record.targets},
               {"examples", record.examples},
               {"seconds", record.seconds}};
  if (record.ranks > 1) {
    line["ranks"] = record.ranks;
    line["bytes_sent"] = record.bytes_sent;
    line["seconds_waited"] = record.seconds_waited;
  }
  if (record.skipped) line["skipped"] = true;
  write_line(line.dump());
  const double now = wall_time();
  const double seconds = record.seconds > 0 ? record.seconds : 1.0;
  events_.add_scalar("train/loss", record.step, record.loss, now);
  events_.add_scalar("train/gradient_norm", record.step, record.gradient_norm, now);
  events_.add_scalar("train/learning_rate", record.step, record.learning_rate, now);
  events_.add_scalar("train/tokens_per_second", record.step,
                     static_cast<double>(record.tokens) / seconds, now);
}

void RunRecord::on_evaluation(const EvaluationRecord& record) {
  const Json line = {{"kind", "evaluation"},
                     {"step", record.step},
                     {"loss", number(record.loss)},
                     {"targets", record.targets},
                     {"best", record.best}};
  write_line(line.dump());
  events_.add_scalar("validation/loss", record.step, record.loss, wall_time());
}

void RunRecord::on_note(const std::string& note) {
  write_line(Json{{"kind", "note"}, {"text", note}}.dump());
}

void RunRecord::write_line(const std::string& line) {
  lines_ << line << '\n';
  lines_.flush();
  if (!lines_) fail(ErrorKind::kEnvironment, path_, ": cannot be written");
}

}  // namespace radgpt
