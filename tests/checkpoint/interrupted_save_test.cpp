// Saves that are cut off, or meet an error, at every single call that deals with files.

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <functional>
#include <iostream>
#include <set>
#include <sstream>
#include <string>

#include "libradgpt/base/error.h"
#include "tests/base/temporary_folder.h"
#include "tests/catch.h"
#include "tests/checkpoint/saving_run.h"
#include "tests/checkpoint/small_checkpoint.h"
#include "tests/checkpoint/traced_process.h"

namespace radgpt {
namespace {

namespace fs = std::filesystem;

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
  int repeated_syncs = 0;  ///< of a file whose fsync was struck
};

/// The run with the fault at the n-th call that it applies to.
Struck strike_call(const std::string& folder, int64_t n, const Fault& fault) {
  TracedProcess process(
      [&](const TracedProcess::Report& report) { return saving_run(folder, report); });
  Struck struck;
  std::string struck_sync;
  for (int64_t count = 0; process.next();) {
    const std::string call = process.call();
    const std::string path = call == "fsync" ? process.path() : "";
    const bool file = path.find(".tmp-") != std::string::npos;
    if (struck.hit) {
      struck.repeated_syncs += file && path == struck_sync;
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

/// Strikes the first call, the second, … until the run ends before it; gives their number.
template <typename CheckRun>
int64_t strike_every_call(const Fault& fault, const CheckRun& check_run) {
  const TemporaryFolder folder(place_in_memory());
  prepare_saving_run(folder.file("before"));
  std::set<std::string> calls;
  for (int64_t n = 1;; ++n) {
    INFO(fault.name << " at call " << n);
    const std::string run = folder.file("run");
    copy_folder(folder.file("before"), run);
    const Struck struck = strike_call(run, n, fault);
    INFO(struck.call << ": " << struck.reports);
    if (!struck.hit) {
      CHECK(struck.exit_code == 0);
      CHECK(reports_step(struck.reports, kLastStep));
      std::cout << "Interrupted saves: " << fault.name << " at " << n - 1 << " points of "
                << calls.size() << " calls\n";
      return n - 1;
    }
    calls.insert(struck.call);
    check_run(struck);
    check_folder(run, struck.reports);
    fs::remove_all(run);
  }
}

bool is_any(const TracedProcess&) { return true; }

TEST_CASE("Interrupted saves: a run killed at any call leaves whole checkpoints and goes on") {
  if (tracing_is_skipped()) return;
  const Fault kill{"SIGKILL", is_any, [](TracedProcess& process) { process.kill(); }};
  const int64_t points =
      strike_every_call(kill, [](const Struck& struck) { CHECK(struck.exit_code == 128 + 9); });
  CHECK(points > 100);
}

TEST_CASE("Interrupted saves: the only checkpoint is there while it is saved once more") {
  if (tracing_is_skipped()) return;
  const TemporaryFolder folder(place_in_memory());
  const std::string run = folder.file("run");
  CheckpointStore(run, 1, kIdentity).save(small_checkpoint(7));
  int64_t points = 0;
  for (bool hit = true; hit;) {
    TracedProcess process([&](const TracedProcess::Report&) {
      CheckpointStore(run, 1, kIdentity).save(small_checkpoint(7));
      return 0;
    });
    for (int64_t call = 0; (hit = process.next()) && call < points;) ++call;
    if (hit) process.kill();
    INFO("killed at call " << ++points);
    CHECK(faults_of_steps(run) == "");
    const auto loaded = CheckpointStore(run, 1, kIdentity).load_newest([](const std::string&) {});
    REQUIRE(loaded);
    CHECK(is_whole(*loaded));
  }
  CHECK(points > 50);
}

/// An error was said in one line, exit code 4, or nothing was lost by it.
void check_said(const Struck& struck) {
  CHECK(struck.repeated_syncs == 0);
  if (struck.exit_code == 0) {
    CHECK(reports_step(struck.reports, kLastStep));
    return;
  }
  CHECK(struck.exit_code == 4);
  // A run that has started saves at the second try.
  CHECK(reports_step(struck.reports, 4) == reports_step(struck.reports, kLastStep));
  std::istringstream lines(struck.reports);
  int said = 0;
  for (std::string line; std::getline(lines, line);) said += !line.starts_with("saved ");
  CHECK(said == 1);
}

TEST_CASE("Interrupted saves: an error of any call is said, and the checkpoints before it stay") {
  if (tracing_is_skipped()) return;
  for (const int error : {EIO, ENOSPC, EDQUOT}) {
    const Fault fault{strerrorname_np(error), is_any,
                      [error](TracedProcess& process) { process.fail(error); }};
    strike_every_call(fault, check_said);
  }
}

TEST_CASE("Interrupted saves: a call that a signal cuts off, or that does half, goes on") {
  if (tracing_is_skipped()) return;
  const auto check_run = [](const Struck& struck) { CHECK(struck.exit_code == 0); };
  strike_every_call({"EINTR", is_any, [](TracedProcess& process) { process.fail(EINTR); }},
                    check_run);
  const auto moves = [](const TracedProcess& process) {
    return process.is_read() || process.is_write();
  };
  strike_every_call({"half", moves, [](TracedProcess& process) { process.shorten(); }}, check_run);
}

TEST_CASE("Interrupted saves: a write that is taken and never done is noticed") {
  if (tracing_is_skipped()) return;
  const auto writes = [](const TracedProcess& process) { return process.is_write(); };
  strike_every_call({"lost", writes, [](TracedProcess& process) { process.lose(); }}, check_said);
}

}  // namespace
}  // namespace radgpt
