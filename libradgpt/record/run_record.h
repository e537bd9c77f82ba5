#pragma once

#include <fstream>
#include <optional>
#include <string>

#include "libradgpt/record/event_file.h"
#include "libradgpt/record/observer.h"

namespace radgpt {

/// Writes what a run does into its folder: `run.jsonl`, one JSON object a line with "kind": step,
/// evaluation or note, and a TensorBoard event file. Doubles are written so that reading gives the
/// same bits.
class RunRecord : public RunObserver {
 public:
  /// Goes on behind step `resume_step`: lines of later steps, which are about to be done again, are
  /// dropped. 0 starts a new record.
  RunRecord(const std::string& folder, int64_t resume_step);

  void on_step(const StepRecord& record) override;
  void on_evaluation(const EvaluationRecord& record) override;
  void on_note(const std::string& note) override;

 private:
  void write_line(const std::string& line);

  std::string path_;
  std::ofstream lines_;
  EventFile events_;
};

}  // namespace radgpt
