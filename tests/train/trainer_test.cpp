#include "libradgpt/train/trainer.h"

#include <torch/types.h>

#include <atomic>
#include <cmath>
#include <limits>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "libradgpt/base/error.h"
#include "libradgpt/base/hash.h"
#include "libradgpt/base/random.h"
#include "libradgpt/config/recipe_file.h"
#include "libradgpt/lora/adapter.h"
#include "libradgpt/train/options.h"
#include "tests/base/temporary_folder.h"
#include "tests/catch.h"
#include "tests/device/test_type.h"
#include "tests/train/changed_head.h"
#include "tests/train/tiny_run.h"

namespace radgpt {
namespace {

constexpr double kNotANumber = std::numeric_limits<double>::quiet_NaN();

/// What two orders of the same sums may differ by, relative.
double rounding() { return test_type() == at::kFloat ? 1e-5 : 0x1p-9; }

TEST_CASE("Trainer: every method changes what is trained") {
  std::set<std::string> digests;
  for (const std::string method :
       {"lora.rslora=false", "lora.rslora=true", "lora.dora=true", "lora.init=pissa",
        "optim.loraplus_ratio=4", "train.neftune_alpha=0.2", "lora.targets=[v_proj]"}) {
    INFO(method);
    const TemporaryFolder folder;
    TinyRun run(folder.path(), {"train.steps=2", method});
    run.trainer->run(run.listener);
    CHECK(digests.insert(run.digest()).second);
    CHECK(run.adapter->options().dora == (method == "lora.dora=true"));
    CHECK((run.adapter->options().start == LoraStart::kPissa) == (method == "lora.init=pissa"));
  }
}

TEST_CASE("Trainer: the loss falls and validation is seen at every epoch's end") {
  const auto method =
      GENERATE(as<std::string>{}, "lora.rslora=false", "lora.dora=true", "lora.init=pissa");
  const TemporaryFolder folder;
  TinyRun run(folder.path(), {"train.epochs=12", method});
  CHECK(run.trainer->run(run.listener) == TrainingEnd::kFinished);
  CHECK(run.listener.losses.size() == static_cast<size_t>(run.trainer->steps()));
  CHECK(run.listener.losses.front() > 4.0);
  CHECK(run.listener.losses.back() < 0.8 * run.listener.losses.front());
  CHECK(run.listener.evaluations.size() == 12);
}

/// Plain LoRA, and everything that can be added to it.
const std::vector<std::vector<std::string>> kMethods = {
    {},
    {"lora.dora=true", "lora.init=pissa", "lora.rslora=true",
     "lora.targets=[q_proj, v_proj, up_proj]", "optim.loraplus_ratio=4", "train.neftune_alpha=5"}};

TEST_CASE("Trainer: a run stopped at any step and resumed ends with the bits of an unbroken one") {
  const auto method = GENERATE(0, 1);
  const std::vector<std::string>& overrides = kMethods[method];
  const TemporaryFolder whole_folder;
  TinyRun whole(whole_folder.path(), overrides);
  whole.trainer->run(whole.listener);
  const int64_t steps = whole.trainer->steps();
  REQUIRE(steps > 6);
  for (const int64_t stop_at : {int64_t{1}, steps / 2, steps - 1}) {
    const TemporaryFolder folder;
    std::vector<double> losses;
    {
      TinyRun first(folder.path(), overrides);
      first.listener.stop = &first.stop;
      first.listener.stop_at = stop_at;
      CHECK(first.trainer->run(first.listener) == TrainingEnd::kInterrupted);
      losses = first.listener.losses;
    }
    TinyRun second(folder.path(), overrides);
    CHECK(second.trainer->resume(second.listener) == stop_at);
    CHECK(second.trainer->run(second.listener) == TrainingEnd::kFinished);
    losses.insert(losses.end(), second.listener.losses.begin(), second.listener.losses.end());
    CHECK(losses == whole.listener.losses);
    CHECK(second.digest() == whole.digest());
  }
}

TEST_CASE("Trainer: one thread and two give the same adapter, dropout included") {
  const auto method = GENERATE(0, 1);
  std::string digests[2];
  for (const int threads : {1, 2}) {
    at::set_num_threads(threads);
    const TemporaryFolder folder;
    TinyRun run(folder.path(), kMethods[method]);
    run.trainer->run(run.listener);
    digests[threads - 1] = run.digest();
  }
  CHECK(digests[0] == digests[1]);
}

/// Of eight steps of each of four runs, which differ in order and dropout: how far one run's losses
/// drift is chance.
std::vector<double> losses_of(at::ScalarType type, PositionKind position) {
  std::vector<double> losses;
  for (int seed = 0; seed < 4; ++seed) {
    const TemporaryFolder folder;
    TinyRun run(folder.path(), {"train.steps=8", concat("train.seed=", seed)}, type, position);
    run.trainer->run(run.listener);
    losses.insert(losses.end(), run.listener.losses.begin(), run.listener.losses.end());
  }
  return losses;
}

double distance(const std::vector<double>& a, const std::vector<double>& b) {
  double sum = 0.0;
  for (size_t i = 0; i < a.size(); ++i) sum += std::abs(a[i] - b.at(i));
  return sum;
}

TEST_CASE("Trainer: losses on this device are as near to double precision as the CPU's in bf16") {
  const auto position = GENERATE(PositionKind::kRope, PositionKind::kAlibi);
  const std::vector<double> here = losses_of(at::kBFloat16, position);
  const CpuKernels cpu;
  const std::vector<double> exact = losses_of(at::kDouble, position);
  const std::vector<double> plain = losses_of(at::kBFloat16, position);
  REQUIRE(here.size() == 32);
  CHECK(distance(here, exact) <= 2 * distance(plain, exact));
  CHECK((here == plain) == (test_type() == at::kFloat));  // one and the same only on the CPU
}

TEST_CASE("Trainer: shared prefixes and separate examples give the same losses without dropout") {
  std::vector<double> losses[2];
  int which = 0;
  for (const char* sharing : {"train.sharing=shared", "train.sharing=packed"}) {
    const TemporaryFolder folder;
    // One step an epoch, so that both see the same global batches; fp32 sums differ in their order.
    TinyRun run(folder.path(), {sharing, "lora.dropout=0", "train.packs_per_step=1000"});
    run.trainer->run(run.listener);
    losses[which++] = run.listener.losses;
  }
  REQUIRE(losses[0].size() == 3);
  for (size_t step = 0; step < 3; ++step) {
    CHECK(losses[0][step] == Approx(losses[1][step]).epsilon(rounding()));
  }
}

TEST_CASE("Trainer: accumulation over many packs equals one large pack") {
  std::vector<double> losses[2];
  int which = 0;
  for (const char* tokens : {"train.pack_tokens=64", "train.pack_tokens=4000"}) {
    const TemporaryFolder folder;
    TinyRun run(folder.path(), {tokens, "lora.dropout=0", "train.packs_per_step=1000"});
    run.trainer->run(run.listener);
    losses[which++] = run.listener.losses;
  }
  for (size_t step = 0; step < 3; ++step) {
    CHECK(losses[0][step] == Approx(losses[1][step]).epsilon(rounding()));
  }
}

TEST_CASE("Trainer: early stopping ends the run and gives back the best state") {
  const TemporaryFolder folder;
  TinyRun run(folder.path(), {"train.epochs=40", "train.early_stop=2", "train.evaluate_every=2",
                              "optim.learning_rate=0.3", "optim.schedule=constant"});
  CHECK(run.trainer->run(run.listener) == TrainingEnd::kStoppedEarly);
  CHECK(run.trainer->step() < run.trainer->steps());
  double best = std::numeric_limits<double>::infinity();
  for (const EvaluationRecord& record : run.listener.evaluations)
    best = std::min(best, record.loss);
  const at::NoGradGuard no_grad;
  double loss = 0.0;
  int64_t terms = 0;
  for (const Pack& pack : pack_epoch(run.validation, packing_options(run.recipe), 0)) {
    loss += run.head->forward(run.model.forward(pack, {}), pack, 1.0).loss_sum;
    terms += run.head->terms(pack);
  }
  CHECK(loss / static_cast<double>(terms) == Approx(best).epsilon(1e-6));
}

TEST_CASE("Trainer: a head tells validation examples from training examples by their number") {
  const TemporaryFolder folder;
  TinyRun run(folder.path(), {"train.epochs=1"});
  std::set<int32_t> numbers;
  ChangedHead head(*run.head, [&](const Pack& pack, HeadOutput&) {
    for (const PackedExample& packed : pack.examples) numbers.insert(packed.example);
  });
  Trainer trainer(run.parts(head), run.recipe, run.stop);
  trainer.run(run.listener);
  const int32_t all = run.training.size() + run.validation.size();
  CHECK(numbers.size() == static_cast<size_t>(all));
  CHECK(*numbers.rbegin() == all - 1);
}

TEST_CASE("Trainer: early stopping keeps what was learnt if no evaluation was finite") {
  const TemporaryFolder folder;
  TinyRun run(folder.path(), {"train.early_stop=2"});
  ChangedHead head(*run.head, [&](const Pack& pack, HeadOutput& output) {
    if (pack.examples.front().example >= run.training.size()) output.loss_sum = kNotANumber;
  });
  Trainer trainer(run.parts(head), run.recipe, run.stop);
  const std::string before = run.digest();
  CHECK(trainer.run(run.listener) == TrainingEnd::kStoppedEarly);
  CHECK(run.listener.evaluations.size() == 2);
  CHECK(run.digest() != before);
}

TEST_CASE("Trainer: steps that are not finite change nothing and end the run after five in a row") {
  const TemporaryFolder folder;
  TinyRun run(folder.path(), {"train.packs_per_step=1"});
  int calls = 0;
  ChangedHead head(*run.head, [&](const Pack&, HeadOutput& output) {
    if (++calls <= 2) return;
    output.loss = output.loss * kNotANumber;
    output.loss_sum = kNotANumber;
  });
  Trainer trainer(run.parts(head), run.recipe, run.stop);
  std::string message;
  int exit_code = 0;
  try {
    trainer.run(run.listener);
  } catch (const Error& error) {
    message = error.what();
    exit_code = error.exit_code();
  }
  CHECK(exit_code == 6);
  CHECK(message.find("5 steps in a row") != std::string::npos);
  CHECK(run.listener.losses.size() == 7);
  CHECK(run.store.flat().isfinite().all().item<bool>());
}

}  // namespace
}  // namespace radgpt
