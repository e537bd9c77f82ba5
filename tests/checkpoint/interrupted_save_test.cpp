// Saves that are cut off, or meet an error, at every single call that deals with files.

#include <torch/types.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <functional>
#include <iostream>
#include <set>
#include <string>

#include "libradgpt/base/error.h"
#include "tests/base/temporary_folder.h"
#include "tests/catch.h"
#include "tests/checkpoint/small_checkpoint.h"
#include "tests/checkpoint/traced_process.h"

namespace radgpt {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kLastStep = 5;

/// A run that was interrupted after step 3: step 1 is the best so far, 2 and 3 are the newest, and
/// a save and a removal were cut off.
void prepare(const std::string& folder) {
  CheckpointStore store(folder, 2, kIdentity);
  store.save(small_checkpoint(1, Checkpoint::Mark::kBest));
  store.save(small_checkpoint(2));
  store.save(small_checkpoint(3));
  copy_folder(folder + "/step-3", folder + "/.unfinished-step-4");
  copy_folder(folder + "/step-1", folder + "/.removed-step-0");
}

/// Resumes and saves steps 4, a new best one, and 5. Every saved step is reported, an error is the
/// last line.
int go_on(const std::string& folder, const TracedProcess::Report& report) {
  try {
    CheckpointStore store(folder, 2, kIdentity);
    const auto found = store.load_newest([](const std::string&) {});
    if (!found || !is_whole(*found)) return 1;
    for (int64_t step = 4; step <= kLastStep; ++step) {
      store.save(
          small_checkpoint(step, step == 4 ? Checkpoint::Mark::kBest : Checkpoint::Mark::kNone));
      report(concat("saved ", step));
    }
    return 0;
  } catch (const Error& error) {
    report(error.what());
    return error.exit_code();
  }
}

/// What may happen to a call, and to which.
struct Fault {
  std::string name;
  std::function<bool(const TracedProcess&)> applies;
  std::function<void(TracedProcess&)> strike;
};

struct Struck {
  bool hit = false;
  std::string call;
  int exit_code = 0;
  std::string reports;
  int repeated_syncs = 0;  ///< of a path whose fsync was struck
};

/// The run with the fault at the n-th call that it applies to.
Struck strike_call(const std::string& folder, int64_t n, const Fault& fault) {
  TracedProcess process([&](const TracedProcess::Report& report) { return go_on(folder, report); });
  Struck struck;
  std::string struck_sync;
  for (int64_t count = 0; process.next();) {
    const std::string call = process.call();
    const std::string path = call == "fsync" ? process.path() : "";
    if (struck.hit) {
      struck.repeated_syncs += !path.empty() && path == struck_sync;
    } else if (fault.applies(process) && ++count == n) {
      struck.hit = true;
      struck.call = call;
      struck_sync = path;
      fault.strike(process);
    }
  }
  struck.exit_code = process.exit_code();
  struck.reports = process.reports();
  return struck;
}

bool reported(const Struck& struck, int64_t step) {
  return struck.reports.find(concat("saved ", step, "\n")) != std::string::npos;
}

/// Everything is there that was saved before or reported as saved, and a run goes on by itself.
void check_folder(const std::string& folder, const Struck& struck) {
  CHECK(faults_of_steps(folder) == "");
  CHECK(
      (fs::exists(folder + "/step-4") || (!reported(struck, 4) && fs::exists(folder + "/step-1"))));
  CheckpointStore store(folder, 2, kIdentity);
  Notes notes;
  const auto found = store.load_newest(notes.taker());
  REQUIRE(found);
  CHECK(notes.lines.empty());
  CHECK(is_whole(*found));
  CHECK(found->step >= (reported(struck, 5) ? 5 : reported(struck, 4) ? 4 : 3));
  for (int64_t step = found->step + 1; step <= kLastStep + 1; ++step) {
    store.save(
        small_checkpoint(step, step == 4 ? Checkpoint::Mark::kBest : Checkpoint::Mark::kNone));
  }
  CHECK(names_in(folder) == std::vector<std::string>{".lock", "step-4", "step-5", "step-6"});
}

/// Strikes the first call, the second, … until the run ends before it; gives their number.
template <typename CheckRun>
int64_t strike_every_call(const Fault& fault, const CheckRun& check_run) {
  const TemporaryFolder folder;
  prepare(folder.file("before"));
  std::set<std::string> calls;
  for (int64_t n = 1;; ++n) {
    INFO(fault.name << " at call " << n);
    const std::string run = folder.file("run");
    copy_folder(folder.file("before"), run);
    const Struck struck = strike_call(run, n, fault);
    INFO(struck.call << ": " << struck.reports);
    if (!struck.hit) {
      CHECK(struck.exit_code == 0);
      CHECK(reported(struck, kLastStep));
      std::cout << "Interrupted saves: " << fault.name << " at " << n - 1 << " points of "
                << calls.size() << " calls\n";
      return n - 1;
    }
    calls.insert(struck.call);
    check_run(struck);
    check_folder(run, struck);
    fs::remove_all(run);
  }
}

bool is_any(const TracedProcess&) { return true; }

bool is_skipped() {
  at::set_num_threads(1);  // no threads that a child would be without
  const std::string obstacle = TracedProcess::obstacle();
  if (!obstacle.empty()) std::cout << "skipped: " << obstacle << "\n";
  return !obstacle.empty();
}

TEST_CASE("Interrupted saves: a run killed at any call leaves whole checkpoints and goes on") {
  if (is_skipped()) return;
  const Fault kill{"SIGKILL", is_any, [](TracedProcess& process) { process.kill(); }};
  const int64_t points =
      strike_every_call(kill, [](const Struck& struck) { CHECK(struck.exit_code == 128 + 9); });
  CHECK(points > 100);
}

/// An error was said in one line, exit code 4, or nothing was lost by it.
void check_said(const Struck& struck) {
  if (struck.exit_code == 0) {
    CHECK(reported(struck, kLastStep));
    return;
  }
  CHECK(struck.exit_code == 4);
  std::string said = struck.reports;
  for (const int64_t step : {4, 5}) {
    if (reported(struck, step)) said.erase(0, said.find('\n') + 1);
  }
  CHECK(std::count(said.begin(), said.end(), '\n') == 1);
  CHECK(struck.repeated_syncs == 0);
}

TEST_CASE("Interrupted saves: an error of any call is said, and the checkpoints before it stay") {
  if (is_skipped()) return;
  for (const int error : {EIO, ENOSPC, EDQUOT}) {
    const Fault fault{strerrorname_np(error), is_any,
                      [error](TracedProcess& process) { process.fail(error); }};
    strike_every_call(fault, check_said);
  }
}

TEST_CASE("Interrupted saves: a call that a signal cuts off, or that does half, goes on") {
  if (is_skipped()) return;
  const auto check_run = [](const Struck& struck) { CHECK(struck.exit_code == 0); };
  strike_every_call({"EINTR", is_any, [](TracedProcess& process) { process.fail(EINTR); }},
                    check_run);
  const auto moves = [](const TracedProcess& process) {
    return process.is_read() || process.is_write();
  };
  strike_every_call({"half", moves, [](TracedProcess& process) { process.shorten(); }}, check_run);
}

TEST_CASE("Interrupted saves: a write that is taken and never done is noticed") {
  if (is_skipped()) return;
  const auto writes = [](const TracedProcess& process) { return process.is_write(); };
  strike_every_call({"lost", writes, [](TracedProcess& process) { process.lose(); }}, check_said);
}

}  // namespace
}  // namespace radgpt
