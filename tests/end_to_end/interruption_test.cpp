#include <signal.h>

#include <filesystem>

#include "libradgpt/base/error.h"
#include "libradgpt/base/random.h"
#include "tests/base/seed.h"
#include "tests/catch.h"
#include "tests/end_to_end/small_job.h"

namespace radgpt {
namespace {

/// A line that the process writes when `step` has been recorded and before its checkpoint is made.
std::string line_of(int64_t step) { return concat("step ", step, "  validation loss"); }

TEST_CASE("Interruption: a run killed three times and resumed ends with the bits of a whole one") {
  const uint64_t seed = chosen_seed("Interruption");
  INFO("RADGPT_TEST_SEED=" << seed);
  Random random(seed, RandomStream::kOrder);
  const TemporaryFolder folder;
  write_adapter_recipe(folder, small_reports());
  const std::vector<std::string> resume = {"output.existing=resume"};
  const std::vector<std::string> resume_with_two = {"output.existing=resume", "train.threads=2"};
  int64_t step = 0;
  for (int kill = 0; kill < 3; ++kill) {
    step += 1 + random.next_below(3);
    INFO("kill behind step " << step);
    RunningRadgpt run(arguments_of("train", folder, kill == 1 ? resume_with_two : resume));
    REQUIRE(run.wait_for(line_of(step)));
    run.send(SIGKILL);
    REQUIRE(run.finish().exit_code == 128 + SIGKILL);
  }
  REQUIRE(run_radgpt(arguments_of("train", folder, resume)).exit_code == 0);
  CHECK(trace_of(folder) == undisturbed_trace());
}

TEST_CASE("Interruption: SIGTERM and SIGINT save, end as the signal does, and can be resumed") {
  const TemporaryFolder folder;
  write_adapter_recipe(folder, small_reports());
  const std::vector<std::string> overrides = {"output.existing=resume", "train.save_every=0"};
  int64_t step = 3;
  for (const int signal : {SIGTERM, SIGINT}) {
    INFO("signal " << signal);
    RunningRadgpt run(arguments_of("train", folder, overrides));
    REQUIRE(run.wait_for(line_of(step)));
    run.send(signal);
    const ProcessResult result = run.finish();
    CHECK(result.exit_code == 128 + signal);
    const std::string saved = concat("checkpoints/step-", step);
    const std::string saved_next = concat("checkpoints/step-", step + 1);
    CHECK(result.output.starts_with("stopped and saved after "));
    CHECK(std::filesystem::exists(folder.file("run/" + saved)) !=
          std::filesystem::exists(folder.file("run/" + saved_next)));
    CHECK(!std::filesystem::exists(folder.file("run/adapter")));
    step += 3;
  }
  REQUIRE(run_radgpt(arguments_of("train", folder, overrides)).exit_code == 0);
  CHECK(trace_of(folder) == undisturbed_trace());
}

}  // namespace
}  // namespace radgpt
