#pragma once

#include <chrono>
#include <cstdint>
#include <limits>
#include <memory>
#include <string>

#include "libradgpt/model/baichuan.h"
#include "libradgpt/record/observer.h"

namespace radgpt {

/// Shows a person how far a run is, on stderr: one line that rewrites itself on a terminal, plain
/// lines (at most one in five seconds) on a pipe.
class Progress : public RunObserver {
 public:
  Progress();
  ~Progress() override;

  void on_step(const StepRecord& record) override;
  void on_evaluation(const EvaluationRecord& record) override;
  void on_loading(int64_t done, int64_t of) override;
  void on_note(const std::string& note) override;
  /// "ACTIVITY DONE/OF" for work that has no steps.
  void show(const std::string& activity, int64_t done, int64_t of);

 private:
  using Clock = std::chrono::steady_clock;

  /// A line that the next one may replace; shown if it is time, or `now`.
  enum class When { kInTime, kNow };
  void line(const std::string& text, When when);
  void finish_line();

  bool terminal_;
  bool open_ = false;  ///< the terminal's line is to be replaced
  Clock::time_point shown_{};
  double seconds_ = 0;  ///< of all steps so far, for the time left
  int64_t steps_ = 0;
  /// Running mean over steps that were not skipped, for the eye; NaN before the first.
  double loss_ = std::numeric_limits<double>::quiet_NaN();
};

/// Baichuan::load with a line about how far it is.
std::unique_ptr<Baichuan> load_with_progress(const std::string& folder,
                                             const at::TensorOptions& options);

}  // namespace radgpt
