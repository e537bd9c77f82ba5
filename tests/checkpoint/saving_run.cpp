#include "tests/checkpoint/saving_run.h"

#include <ATen/Parallel.h>
#include <unistd.h>

#include <filesystem>
#include <iostream>

#include "libradgpt/base/error.h"
#include "tests/catch.h"
#include "tests/checkpoint/small_checkpoint.h"

namespace radgpt {
namespace {

constexpr int64_t kKeep = 1;

Checkpoint checkpoint_of(int64_t step) {
  const bool best = step == 1 || step == 4;
  return small_checkpoint(step, best ? Checkpoint::Mark::kBest : Checkpoint::Mark::kNone);
}

}  // namespace

void prepare_saving_run(const std::string& folder) {
  CheckpointStore store(folder, kKeep, kIdentity);
  for (const int64_t step : {1, 2, 3}) store.save(checkpoint_of(step));
  copy_folder(folder + "/step-3", folder + "/.unfinished-step-4");
  copy_folder(folder + "/step-1", folder + "/.removed-step-0");
}

int saving_run(const std::string& folder, const TracedProcess::Report& report) {
  int exit_code = 0;
  try {
    CheckpointStore store(folder, kKeep, kIdentity);
    const auto found = store.load_newest([](const std::string&) {});
    if (!found || !is_whole(*found)) return 1;
    for (int64_t step = 4; step <= kLastStep; ++step) {
      try {
        store.save(checkpoint_of(step));
      } catch (const Error& error) {
        report(error.what());
        exit_code = error.exit_code();
        store.save(checkpoint_of(step));
      }
      report(concat("saved ", step));
    }
  } catch (const Error& error) {
    report(error.what());
    exit_code = error.exit_code();
  }
  return exit_code;
}

bool reports_step(const std::string& reports, int64_t step) {
  return reports.find(concat("saved ", step, "\n")) != std::string::npos;
}

void check_folder(const std::string& folder, const std::string& reports) {
  CHECK(faults_of_steps(folder) == "");
  const char* best = reports_step(reports, 4) ? "/step-4" : "/step-1";
  CHECK((std::filesystem::exists(folder + best) || std::filesystem::exists(folder + "/step-4")));
  if (reports_step(reports, kLastStep)) {
    CHECK(names_in(folder) == std::vector<std::string>{".lock", "step-4", "step-5"});
  }
  CheckpointStore store(folder, kKeep, kIdentity);
  Notes notes;
  const auto found = store.load_newest(notes.taker());
  REQUIRE(found);
  CHECK(notes.lines.empty());
  CHECK(is_whole(*found));
  CHECK(found->step >= (reports_step(reports, 5) ? 5 : reports_step(reports, 4) ? 4 : 3));
  for (int64_t step = found->step + 1; step <= kLastStep + 1; ++step) {
    store.save(checkpoint_of(step));
  }
  CHECK(names_in(folder) == std::vector<std::string>{".lock", "step-4", "step-6"});
}

std::string place_in_memory() {
  const char* shared_memory = "/dev/shm";
  const bool usable = access(shared_memory, R_OK | W_OK | X_OK) == 0;
  return usable ? shared_memory : std::filesystem::temp_directory_path().string();
}

bool tracing_is_skipped() {
  at::set_num_threads(1);  // no threads that a child would be without
  const std::string obstacle = TracedProcess::obstacle();
  if (!obstacle.empty()) std::cout << "skipped: " << obstacle << "\n";
  return !obstacle.empty();
}

}  // namespace radgpt
