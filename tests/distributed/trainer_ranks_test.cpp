#include <ATen/Parallel.h>
#include <torch/types.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <mutex>
#include <set>

#include "libradgpt/base/error.h"
#include "tests/base/temporary_folder.h"
#include "tests/catch.h"
#include "tests/distributed/thread_ranks.h"
#include "tests/train/changed_head.h"
#include "tests/train/tiny_run.h"

namespace radgpt {
namespace {

/// What a run must give on any number of ranks.
struct RanksResult {
  std::vector<double> losses;
  std::vector<double> evaluations;
  std::string state;  ///< SHA-256 of parameters and moments as rank 0 saved them
  at::Tensor parameters;
  std::set<std::string> digests;  ///< of the parameters of every rank

  bool operator==(const RanksResult& other) const {
    return losses == other.losses && evaluations == other.evaluations && state == other.state &&
           digests == other.digests;
  }
};

const std::vector<std::string> kFiftySteps = {"train.steps=50", "train.packs_per_step=8",
                                              "train.evaluate_every=5", "train.save_every=10"};

/// Goes on with the run in `folder` on `size` ranks of `threads` threads; rank 0 asks for a stop at
/// step `stop_at`.
void train_ranks(const TemporaryFolder& folder, int size, int threads,
                 const std::vector<std::string>& overrides, RanksResult& result,
                 int64_t stop_at = 0) {
  std::mutex mutex;
  result.digests.clear();
  run_thread_ranks(size, [&](Communicator& ranks) {
    at::set_num_threads(threads);
    TinyRun run(folder.file("run"), overrides, at::kFloat, PositionKind::kAlibi, &ranks);
    run.trainer->resume(run.listener);
    if (ranks.rank() == 0) {
      run.listener.stop = &run.stop;
      run.listener.stop_at = stop_at;
    }
    run.trainer->run(run.listener);
    const std::lock_guard lock(mutex);
    result.digests.insert(run.digest());
    if (ranks.rank() != 0) return;
    result.losses.insert(result.losses.end(), run.listener.losses.begin(),
                         run.listener.losses.end());
    for (const EvaluationRecord& record : run.listener.evaluations) {
      result.evaluations.push_back(record.loss);
    }
    result.parameters = run.store.flat().clone();
    const std::string saved = concat("run/step-", run.trainer->step(), "/state.safetensors");
    result.state = to_hex(sha256_of_file(folder.file(saved)));
  });
}

RanksResult trained(int size, int threads, const std::vector<std::string>& overrides) {
  const TemporaryFolder folder;
  RanksResult result;
  train_ranks(folder, size, threads, overrides, result);
  return result;
}

const RanksResult& of_one_rank() {
  static const RanksResult result = trained(1, 1, kFiftySteps);
  return result;
}

TEST_CASE("Ranks: 1, 2, 4 and 8 of them with 1 or 2 threads give one adapter and optimizer") {
  REQUIRE(of_one_rank().losses.size() == 50);
  REQUIRE(of_one_rank().evaluations.size() == 10);
  for (const int size : {1, 2, 4, 8}) {
    for (const int threads : {1, 2}) {
      INFO(size << " ranks, " << threads << " threads");
      CHECK(trained(size, threads, kFiftySteps) == of_one_rank());
    }
  }
}

TEST_CASE("Ranks: their number may change at every resume") {
  const TemporaryFolder folder;
  RanksResult result;
  int64_t stop_at = 9;
  for (const int size : {4, 1, 8, 3, 2}) {
    train_ranks(folder, size, 1, kFiftySteps, result, size == 2 ? 0 : stop_at);
    stop_at += 10;
  }
  CHECK(result == of_one_rank());
}

TEST_CASE("Ranks: steps with fewer packs than ranks, and with uneven shares, give the same") {
  for (const char* packs : {"train.packs_per_step=1", "train.packs_per_step=3"}) {
    const std::vector<std::string> overrides = {"train.epochs=2", packs};
    const RanksResult one = trained(1, 1, overrides);
    for (const int size : {2, 5}) {
      INFO(packs << " on " << size << " ranks");
      CHECK(trained(size, 1, overrides) == one);
    }
  }
}

TEST_CASE("Ranks: all-reduce comes within 1e-5 of the ordered sum") {
  std::vector<std::string> overrides = kFiftySteps;
  overrides.push_back("distributed.reduction=allreduce");
  const RanksResult result = trained(4, 1, overrides);
  CHECK(result.digests.size() == 1);
  CHECK(result.state != of_one_rank().state);
  const double scale = of_one_rank().parameters.abs().max().item<double>();
  const at::Tensor distance = (result.parameters - of_one_rank().parameters).abs().max();
  CHECK(distance.item<double>() <= 1e-5 * scale);
}

/// Changes the parameters of rank 1 once, before a step of its own.
class Disturber : public Listener {
 public:
  Disturber(ParameterStore& store, int64_t step) : store_(store), step_(step) {}
  void on_step(const StepRecord& record) override {
    Listener::on_step(record);
    if (record.step != step_) return;
    uint32_t bits = 0;
    float* value = store_.flat().mutable_data_ptr<float>() + 7;
    std::memcpy(&bits, value, sizeof bits);
    bits ^= 1u << 12;  // a lower one may be lost in the rounding of the next update
    std::memcpy(value, &bits, sizeof bits);
  }

 private:
  ParameterStore& store_;
  int64_t step_;
};

TEST_CASE("Ranks: one flipped bit of one rank's parameters is found at the next checkpoint") {
  const auto victim = GENERATE(0, 1, 2);
  const TemporaryFolder folder;
  const auto ends = ends_of_ranks(3, [&](Communicator& ranks) {
    TinyRun run(folder.path(), kFiftySteps, at::kFloat, PositionKind::kRope, &ranks);
    Disturber disturber(run.store, ranks.rank() == victim ? 19 : -1);
    run.trainer->run(disturber);
  });
  REQUIRE(ends.size() == 3);
  CHECK(ends.count(*ends.begin()) == 3);
  CHECK(ends.begin()->starts_with(concat("7 rank ", victim, " (")));
  CHECK(ends.begin()->find("its parameters after step 20 must be that of the 2 ranks that agree") !=
        std::string::npos);
}

TEST_CASE("Ranks: a loss that is not finite on one rank makes all skip and end alike") {
  const TemporaryFolder folder;
  std::mutex mutex;
  std::set<std::string> digests;
  const auto ends = ends_of_ranks(2, [&](Communicator& ranks) {
    TinyRun run(folder.path(), kFiftySteps, at::kFloat, PositionKind::kRope, &ranks);
    ChangedHead head(*run.head, [&](const Pack&, HeadOutput& output) {
      if (ranks.rank() == 1) output.loss_sum = std::numeric_limits<double>::quiet_NaN();
    });
    const std::string before = run.digest();
    Trainer trainer(run.parts(head), run.recipe, run.stop);
    try {
      trainer.run(run.listener);
    } catch (const Error&) {
      const std::lock_guard lock(mutex);
      digests.insert(run.digest());
      digests.insert(before);
      require(run.listener.losses.size() == 5, "five steps");
      throw;
    }
  });
  REQUIRE(ends.size() == 2);
  CHECK(ends.count(*ends.begin()) == 2);
  CHECK(ends.begin()->starts_with("6 train: loss or gradient was not finite in 5 steps"));
  CHECK(digests.size() == 1);
}

TEST_CASE("Ranks: checkpoints come by rank 0's clock, on all ranks at the same step") {
  const TemporaryFolder folder;
  run_thread_ranks(2, [&](Communicator& ranks) {
    TinyRun run(folder.path(), {"train.steps=2", "train.save_minutes=1e-9"}, at::kFloat,
                PositionKind::kRope, &ranks);
    run.trainer->run(run.listener);
  });
  for (const char* step : {"step-1", "step-2"}) {
    CHECK(std::filesystem::exists(folder.file(step)));
  }
}

}  // namespace
}  // namespace radgpt
