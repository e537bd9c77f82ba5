#include "recipes/radgpt/progress.h"

#include <unistd.h>

#include <cmath>
#include <cstdio>
#include <iostream>

#include "libradgpt/base/error.h"

namespace radgpt {

namespace {

std::string duration(double seconds) {
  const auto whole = static_cast<int64_t>(seconds + 0.5);
  char text[32];
  if (whole >= 3600) {
    std::snprintf(text, sizeof text, "%ldh%02ldm", whole / 3600, whole / 60 % 60);
  } else {
    std::snprintf(text, sizeof text, "%ldm%02lds", whole / 60, whole % 60);
  }
  return text;
}

}  // namespace

Progress::Progress() : terminal_(isatty(STDERR_FILENO) != 0) {}

Progress::~Progress() { finish_line(); }

void Progress::on_step(const StepRecord& record) {
  seconds_ += record.seconds;
  ++steps_;
  if (!record.skipped) loss_ = std::isnan(loss_) ? record.loss : 0.9 * loss_ + 0.1 * record.loss;
  const double left =
      seconds_ / static_cast<double>(steps_) * static_cast<double>(record.steps - record.step);
  char text[160];
  std::snprintf(text, sizeof text,
                "step %ld/%ld  epoch %ld  loss %.4f  norm %.2f  %.0f tokens/s  %s left%s",
                record.step, record.steps, record.epoch + 1, loss_, record.gradient_norm,
                static_cast<double>(record.tokens) / record.seconds, duration(left).c_str(),
                record.skipped ? "  skipped: not finite" : "");
  line(text, record.step == record.steps || record.skipped ? When::kNow : When::kInTime);
}

void Progress::on_evaluation(const EvaluationRecord& record) {
  char text[96];
  std::snprintf(text, sizeof text, "step %ld  validation loss %.4f%s", record.step, record.loss,
                record.best ? "  (best)" : "");
  line(text, When::kNow);
  finish_line();
}

void Progress::on_loading(int64_t done, int64_t of) {
  constexpr int64_t kMegabyte = 1'000'000;
  show("loading weights, MB", done / kMegabyte, of / kMegabyte);
}

void Progress::on_note(const std::string& note) {
  line(note, When::kNow);
  finish_line();
}

void Progress::show(const std::string& activity, int64_t done, int64_t of) {
  line(of > 1 ? concat(activity, " ", done, "/", of) : activity,
       done == of || of <= 1 ? When::kNow : When::kInTime);
}

void Progress::line(const std::string& text, When when) {
  const Clock::time_point now = Clock::now();
  const auto pause = terminal_ ? std::chrono::milliseconds(100) : std::chrono::milliseconds(5000);
  if (when == When::kInTime && now - shown_ < pause) return;
  shown_ = now;
  if (terminal_) {
    std::cerr << "\r\x1b[K" << text << std::flush;
    open_ = true;
  } else {
    std::cerr << text << "\n";
  }
}

void Progress::finish_line() {
  if (open_) std::cerr << "\n";
  open_ = false;
}

std::unique_ptr<Baichuan> load_with_progress(const std::string& folder,
                                             const at::TensorOptions& options) {
  Progress progress;
  return Baichuan::load(folder, options,
                        [&progress](int64_t done, int64_t of) { progress.on_loading(done, of); });
}

}  // namespace radgpt
