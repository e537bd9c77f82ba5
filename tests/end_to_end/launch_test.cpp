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

/// The only child of a process, as soon as it has one.
pid_t rank_of(pid_t supervisor) {
  pid_t child = 0;
  while (child == 0) {
    std::ifstream(concat("/proc/", supervisor, "/task/", supervisor, "/children")) >> child;
  }
  return child;
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

TEST_CASE(
    "Launch: a rank that is killed comes back and the run ends with the bits of a whole one") {
  const TemporaryFolder folder;
  write_adapter_recipe(folder, small_reports());
  RunningRadgpt run(launch_arguments(folder, 1));
  REQUIRE(run.wait_for(line_of(5)));
  kill(rank_of(run.process()), SIGKILL);
  REQUIRE(run.wait_for("rank 0 was killed by signal 9; restart 1 from step 4\n"));
  REQUIRE(run.wait_for(line_of(9)));
  kill(rank_of(run.process()), SIGKILL);
  const ProcessResult result = run.finish();
  CHECK(result.errors.find("rank 0 was killed by signal 9; restart 2 from step 8\n") !=
        std::string::npos);
  CHECK(result.exit_code == 0);
  CHECK(result.output.starts_with("trained 12 steps"));
  CHECK(trace_of(folder) == undisturbed_trace());
}

TEST_CASE("Launch: a restart of a run that replaces another one does not go on with that") {
  const TemporaryFolder folder;
  write_adapter_recipe(folder, small_reports());
  REQUIRE(run_radgpt(arguments_of("train", folder)).exit_code == 0);
  RunningRadgpt run(launch_arguments(folder, 1, {"output.existing=overwrite"}));
  kill(rank_of(run.process()), SIGKILL);  // it has hardly begun to read
  REQUIRE(run.wait_for("restart 1 from step 0\n"));
  REQUIRE(run.wait_for(line_of(3)));
  kill(rank_of(run.process()), SIGKILL);
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
  const pid_t rank = rank_of(run.process());
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

TEST_CASE("Launch: a fault that a restart does not mend is said once") {
  const TemporaryFolder folder;
  write_adapter_recipe(folder, small_reports());
  REQUIRE(run_radgpt(arguments_of("train", folder)).exit_code == 0);
  const ProcessResult result = run_radgpt(launch_arguments(folder, 1));
  CHECK(result.exit_code == 3);
  CHECK(result.errors.find("output.folder: must be empty or new") != std::string::npos);
  CHECK(std::count(result.errors.begin(), result.errors.end(), '\n') == 1);
}

}  // namespace
}  // namespace radgpt
