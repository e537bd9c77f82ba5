#include <signal.h>

#include <algorithm>
#include <fstream>
#include <string>

#include "libradgpt/base/error.h"
#include "tests/catch.h"
#include "tests/end_to_end/small_job.h"

namespace radgpt {
namespace {

std::vector<std::string> launch_arguments(const TemporaryFolder& folder, int ranks,
                                          const std::vector<std::string>& overrides = {}) {
  std::vector<std::string> arguments = arguments_of("launch", folder, overrides);
  arguments.insert(arguments.begin() + 1, {"-n", std::to_string(ranks)});
  return arguments;
}

/// The process of a rank, as soon as it is there.
pid_t process_of(int rank, const RunningRadgpt& run) {
  const std::string path = concat("/proc/", run.process(), "/task/", run.process(), "/children");
  while (true) {
    std::ifstream children(path);  // in the order in which they were started
    pid_t child = 0;
    int count = 0;
    while (count <= rank && children >> child) ++count;
    if (count > rank) return child;
  }
}

/// Waits until the handlers of a process have seen all signals sent to it.
void wait_until_taken(pid_t process) {
  std::string pending = "?";
  while (pending.find_first_not_of('0') != std::string::npos) {
    std::ifstream file(concat("/proc/", process, "/status"));
    for (std::string word; word != "ShdPnd:" && file >> word;) {
    }
    if (!(file >> pending)) return;
  }
}

/// A line that the rank writes when `step` has been recorded and before its checkpoint is made.
std::string line_of(int64_t step) { return concat("step ", step, "  validation loss"); }

TEST_CASE("Launch: a rank that is killed comes back, and the run ends with the bits of a whole") {
  for (const int ranks : {1, 2}) {
    INFO(ranks << " ranks");
    const TemporaryFolder folder;
    write_adapter_recipe(folder, small_reports());
    RunningRadgpt run(launch_arguments(folder, ranks));
    REQUIRE(run.wait_for(line_of(5)));
    kill(process_of(ranks - 1, run), SIGKILL);
    REQUIRE(run.wait_for(
        concat("rank ", ranks - 1, " was killed by signal 9; restart 1 from step 4\n")));
    REQUIRE(run.wait_for(line_of(9)));
    kill(process_of(0, run), SIGKILL);
    const ProcessResult result = run.finish();
    CHECK(result.errors.find("rank 0 was killed by signal 9; restart 2 from step 8\n") !=
          std::string::npos);
    CHECK(result.exit_code == 0);
    CHECK(result.output.starts_with("trained 12 steps"));
    CHECK(trace_of(folder) == undisturbed_trace());
  }
}

TEST_CASE("Launch: a restart of a run that replaces another one does not go on with that") {
  const TemporaryFolder folder;
  write_adapter_recipe(folder, small_reports());
  REQUIRE(run_radgpt(arguments_of("train", folder)).exit_code == 0);
  RunningRadgpt run(launch_arguments(folder, 1, {"output.existing=overwrite"}));
  kill(process_of(0, run), SIGKILL);  // it has hardly begun to read
  REQUIRE(run.wait_for("restart 1 from step 0\n"));
  REQUIRE(run.wait_for(line_of(3)));
  kill(process_of(0, run), SIGKILL);
  REQUIRE(run.wait_for("restart 2 from step 2\n"));
  CHECK(run.finish().exit_code == 0);
  CHECK(trace_of(folder) == undisturbed_trace());
}

TEST_CASE("Launch: SIGTERM saves, ends as the signal does, and the run can be resumed") {
  const TemporaryFolder folder;
  write_adapter_recipe(folder, small_reports());
  const std::vector<std::string> overrides = {"output.existing=resume", "train.save_every=0"};
  RunningRadgpt run(launch_arguments(folder, 1, overrides));
  REQUIRE(run.wait_for(line_of(3)));
  const pid_t rank = process_of(0, run);
  run.send(SIGTERM);
  // Slurm ends all processes of a step at once. The rank waits for us to read meanwhile.
  for (int i = 0; i < 2; ++i) {
    kill(rank, SIGTERM);
    wait_until_taken(rank);
  }
  const ProcessResult result = run.finish();
  CHECK(result.exit_code == 128 + SIGTERM);
  CHECK(result.output.starts_with("stopped and saved after "));
  REQUIRE(run_radgpt(launch_arguments(folder, 1, overrides)).exit_code == 0);
  CHECK(trace_of(folder) == undisturbed_trace());
}

TEST_CASE("Launch: SIGINT of a terminal, to supervisor and ranks alike, saves") {
  const TemporaryFolder folder;
  write_adapter_recipe(folder, small_reports());
  RunningRadgpt run(launch_arguments(folder, 2, {"train.save_every=0"}));
  REQUIRE(run.wait_for(line_of(3)));
  run.send(SIGINT);
  for (const int rank : {0, 1}) kill(process_of(rank, run), SIGINT);
  const ProcessResult result = run.finish();
  INFO(result.errors);
  CHECK(result.exit_code == 128 + SIGINT);
  CHECK(result.output.starts_with("stopped and saved after "));
  CHECK(result.errors.find("error") == std::string::npos);
}

TEST_CASE("Launch: a fault that a restart does not mend is said, and none is made") {
  const TemporaryFolder folder;
  write_adapter_recipe(folder, small_reports());
  REQUIRE(run_radgpt(arguments_of("train", folder)).exit_code == 0);
  for (const int ranks : {1, 3}) {
    const ProcessResult result = run_radgpt(launch_arguments(folder, ranks));
    INFO(result.errors);
    CHECK(result.exit_code == 3);
    CHECK(result.errors.find("output.folder: must be empty or new") != std::string::npos);
    CHECK(result.errors.find("restart") == std::string::npos);
    CHECK(std::count(result.errors.begin(), result.errors.end(), '\n') == ranks);
  }
}

}  // namespace
}  // namespace radgpt
