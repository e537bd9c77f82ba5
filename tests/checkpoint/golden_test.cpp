#include <torch/types.h>

#include <string>

#include "libradgpt/base/error.h"
#include "tests/base/temporary_folder.h"
#include "tests/catch.h"
#include "tests/checkpoint/small_checkpoint.h"

namespace radgpt {
namespace {

const Identity kGoldenIdentity = {
    {"recipe", "a1"}, {"base", "b2"}, {"tokenizer", "c3"}, {"data", "d4"}};

/// A copy of a golden folder with step-40, as a store takes a lock in its folder.
std::string copy_golden(const TemporaryFolder& folder, const std::string& name) {
  copy_folder(concat(RADGPT_SOURCE_DIR, "/tests/checkpoint/golden/", name), folder.file(name));
  return folder.file(name);
}

void check_golden(const Checkpoint& checkpoint) {
  CHECK(checkpoint.step == 40);
  CHECK(checkpoint.best_loss == 0.625);
  CHECK(checkpoint.counters == std::map<std::string, int64_t>{{"epoch", 1},
                                                              {"position", 12},
                                                              {"updates", 39},
                                                              {"bad_steps", 1},
                                                              {"evaluations_since_best", 0}});
  REQUIRE(checkpoint.tensors.size() == 3);
  const at::Tensor ramp = at::arange(6, at::kFloat);
  CHECK(at::equal(checkpoint.tensor("parameters", ramp), ramp / 8));
  CHECK(at::equal(checkpoint.tensor("first_moment", ramp), -ramp / 16));
  CHECK(at::equal(checkpoint.tensor("second_moment", ramp), ramp / 32));
}

TEST_CASE("Golden checkpoints: one without mark and facts, as the first ones were, is loaded") {
  const TemporaryFolder folder;
  const CheckpointStore store(copy_golden(folder, "without_facts"), 2, kGoldenIdentity);
  Notes notes;
  const auto loaded = store.load_newest(notes.taker());
  REQUIRE(loaded);
  CHECK(notes.lines.empty());
  check_golden(*loaded);
  CHECK(loaded->mark == Checkpoint::Mark::kNone);
  CHECK(loaded->facts.empty());
}

TEST_CASE("Golden checkpoints: one with mark and facts is loaded") {
  const TemporaryFolder folder;
  const CheckpointStore store(copy_golden(folder, "with_facts"), 2, kGoldenIdentity);
  Notes notes;
  const auto loaded = store.load_newest(notes.taker());
  REQUIRE(loaded);
  CHECK(notes.lines.empty());
  check_golden(*loaded);
  CHECK(loaded->mark == Checkpoint::Mark::kBest);
  CHECK(loaded->facts == std::map<std::string, std::string>{{"libradgpt", "0.1.0"},
                                                            {"libtorch", "2.11.0"},
                                                            {"packs of a global batch", "16"},
                                                            {"ranks", "4"}});
}

}  // namespace
}  // namespace radgpt
