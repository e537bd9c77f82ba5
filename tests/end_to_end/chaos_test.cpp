#include <signal.h>

#include <algorithm>
#include <fstream>
#include <iostream>
#include <map>

#include "libradgpt/base/error.h"
#include "libradgpt/base/hash.h"
#include "libradgpt/base/random.h"
#include "libradgpt/checkpoint/checkpoint_store.h"
#include "tests/base/seed.h"
#include "tests/catch.h"
#include "tests/end_to_end/rank_processes.h"
#include "tests/end_to_end/small_job.h"

namespace radgpt {
namespace {

constexpr int64_t kInterval = 5;  // steps between checkpoints
constexpr int64_t kChaosSteps = 60;

/// `start`: seconds until ranks give up one that was killed before it came.
std::vector<std::string> chaos_arguments(const TemporaryFolder& folder, int start) {
  return arguments_of(
      "train", folder,
      {concat("train.steps=", kChaosSteps), "train.packs_per_step=4", "train.evaluate_every=7",
       concat("train.save_every=", kInterval), "output.existing=resume", "distributed.timeout=20",
       concat("distributed.start_timeout=", start)});
}

constexpr int kShortStart = 3;
constexpr int kWholeStart = 300;

/// Step → loss, of the lines that a run has recorded whole.
std::map<int64_t, double> recorded_losses(const TemporaryFolder& folder) {
  std::map<int64_t, double> losses;
  std::ifstream file(folder.file("run/run.jsonl"));
  for (std::string line; std::getline(file, line);) {
    const nlohmann::json json = nlohmann::json::parse(line, nullptr, false);
    if (json.is_object() && json.at("kind") == "step") losses[json.at("step")] = json.at("loss");
  }
  return losses;
}

/// The last checkpoint, parameters and moments, and the adapter.
std::vector<std::string> digests_of(const TemporaryFolder& folder) {
  const std::string state = concat("run/checkpoints/step-", kChaosSteps, "/state.safetensors");
  return {to_hex(sha256_of_file(folder.file(state))),
          to_hex(sha256_of_file(folder.file("run/adapter/adapter_model.safetensors")))};
}

/// A run that nothing disturbs, on one rank.
struct UnbrokenRun {
  UnbrokenRun() {
    write_adapter_recipe(folder, small_reports());
    const ProcessResult result = run_radgpt(chaos_arguments(folder, kWholeStart));
    INFO(result.errors);
    REQUIRE(result.exit_code == 0);
    losses = recorded_losses(folder);
    digests = digests_of(folder);
  }
  TemporaryFolder folder;
  std::map<int64_t, double> losses;
  std::vector<std::string> digests;
};

const UnbrokenRun& unbroken_run() {
  static const UnbrokenRun run;
  return run;
}

/// What has gone wrong so far.
struct Damage {
  int64_t most_lost = 0;  ///< steps
  int64_t different_losses = 0;
  int64_t compared = 0;
  int64_t corrupt = 0;  ///< checkpoints that a resume passed over
};

/// Compares what was recorded until a kill, or the end, with the unbroken run.
void compare(const TemporaryFolder& folder, Damage& damage) {
  for (const auto& [step, loss] : recorded_losses(folder)) {
    damage.different_losses += unbroken_run().losses.at(step) != loss ? 1 : 0;
    ++damage.compared;
  }
}

/// Starts the ranks, kills one or all of them at a random moment, and waits for all to end.
/// Returns whether the run has finished before that.
bool start_and_kill(const TemporaryFolder& folder, int size, Random& random, Damage& damage) {
  RankProcesses ranks(size, chaos_arguments(folder, kShortStart));
  // Half of the moments lie in the first second, which is start-up and rendezvous.
  const double moment =
      1e-3 * static_cast<double>(random.next_below(random.next_below(2) == 0 ? 1000 : 4000));
  const auto victim = static_cast<int>(random.next_below(static_cast<uint64_t>(size) + 1));
  if (!ranks.wait_for_end(moment)) {
    for (int rank = 0; rank < size; ++rank) {
      if (victim == size || rank == victim) ranks.send(rank, SIGKILL);
    }
    REQUIRE(ranks.wait_for_end(60));
  }
  damage.corrupt += ranks.errors(0).find("passed over") != std::string::npos ? 1 : 0;
  // The next start goes on from the newest checkpoint.
  const int64_t saved = newest_checkpoint(folder.file("run/checkpoints"));
  const std::map<int64_t, double> recorded = recorded_losses(folder);
  if (!recorded.empty()) {
    damage.most_lost = std::max(damage.most_lost, recorded.rbegin()->first - saved);
  }
  compare(folder, damage);
  bool finished = true;
  for (int rank = 0; rank < size; ++rank) finished &= ranks.exit_code(rank) == 0;
  for (int rank = 0; rank < size && !finished; ++rank) {
    INFO("rank " << rank << ": " << ranks.errors(rank));
    const int code = ranks.exit_code(rank);
    CHECK((code == 0 || code == 5 || code == 128 + SIGKILL));
  }
  return finished;
}

/// Starts the run anew whenever it has finished, until `kills` kills are done; then lets it end.
void survive(int size, int kills) {
  const uint64_t seed = chosen_seed(concat("Chaos on ", size, " ranks").c_str());
  INFO("RADGPT_TEST_SEED=" << seed);
  Random random(seed, RandomStream::kOrder);
  Damage damage;
  int done = 0, runs = 0;
  while (done < kills) {
    const TemporaryFolder folder;
    write_adapter_recipe(folder, small_reports());
    ++runs;
    while (done < kills && !start_and_kill(folder, size, random, damage)) ++done;
    RankProcesses last(size, chaos_arguments(folder, kWholeStart));
    REQUIRE(last.wait_for_end(300));
    for (int rank = 0; rank < size; ++rank) {
      INFO("rank " << rank << ": " << last.errors(rank));
      CHECK(last.exit_code(rank) == 0);
    }
    compare(folder, damage);
    CHECK(recorded_losses(folder) == unbroken_run().losses);
    CHECK(digests_of(folder) == unbroken_run().digests);
  }
  std::cout << done << " kills in " << runs << " runs: " << damage.corrupt
            << " corrupt checkpoints, at most " << damage.most_lost << " steps lost, "
            << damage.different_losses << " of " << damage.compared << " losses different\n";
  CHECK(damage.corrupt == 0);
  CHECK(damage.most_lost <= kInterval);
  CHECK(damage.different_losses == 0);
}

TEST_CASE("Chaos: 25 kills of random ranks at random moments cost no bit") {
  survive(2, 15);
  survive(4, 10);
}

TEST_CASE("Chaos: 200 kills for each of 1, 2 and 4 ranks cost no bit", "[.exhaustive]") {
  for (const int size : {1, 2, 4}) {
    DYNAMIC_SECTION(size << " ranks") { survive(size, 200); }  // -c "4 ranks": those alone
  }
}

}  // namespace
}  // namespace radgpt
