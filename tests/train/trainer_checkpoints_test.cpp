#include <algorithm>
#include <filesystem>
#include <string>
#include <vector>

#include "libradgpt/base/error.h"
#include "tests/base/temporary_folder.h"
#include "tests/catch.h"
#include "tests/train/changed_head.h"
#include "tests/train/tiny_run.h"

namespace radgpt {
namespace {

namespace fs = std::filesystem;

std::vector<std::string> checkpoints_in(const std::string& folder) {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(folder)) {
    const std::string name = entry.path().filename();
    if (name.starts_with("step-")) names.push_back(name);
  }
  std::sort(names.begin(), names.end());
  return names;
}

TEST_CASE("Trainer's checkpoints: the best evaluation's is saved at once and kept") {
  const TemporaryFolder folder;
  TinyRun run(folder.path(), {"train.steps=24", "train.evaluate_every=3", "train.keep_best=true",
                              "train.save_every=10"});
  int looks = 0;  // at validation, whose loss grows with each
  ChangedHead head(*run.head, [&](const Pack& pack, HeadOutput& output) {
    if (pack.examples.front().example >= run.training.size()) output.loss_sum += 1000.0 * ++looks;
  });
  Trainer trainer(run.parts(head), run.recipe, run.stop);
  trainer.run(run.listener);
  CHECK(checkpoints_in(folder.path()) == std::vector<std::string>{"step-20", "step-24", "step-3"});
}

/// Takes the folder of the checkpoints away before some steps are saved, and hears the notes.
class Thief : public Listener {
 public:
  Thief(std::string folder, int64_t first, int64_t last)
      : folder_(std::move(folder)), first_(first), last_(last) {}
  void on_step(const StepRecord& record) override {
    Listener::on_step(record);
    if (record.step == first_) fs::rename(folder_, folder_ + "-taken");
    if (record.step == last_) fs::rename(folder_ + "-taken", folder_);
  }
  void on_note(const std::string& note) override { notes.push_back(note); }

  std::vector<std::string> notes;

 private:
  std::string folder_;
  int64_t first_;
  int64_t last_;
};

TEST_CASE("Trainer's checkpoints: two that cannot be saved are noted, and the run goes on") {
  const TemporaryFolder folder;
  TinyRun run(folder.file("checkpoints"), {"train.steps=6", "train.save_every=1"});
  Thief thief(folder.file("checkpoints"), 3, 5);
  CHECK(run.trainer->run(thief) == TrainingEnd::kFinished);
  REQUIRE(thief.notes.size() == 2);
  CHECK(thief.notes[0].starts_with("no checkpoint of step 3, the one before stays: "));
  CHECK(checkpoints_in(folder.file("checkpoints")) == std::vector<std::string>{"step-5", "step-6"});
}

TEST_CASE("Trainer's checkpoints: the third in a row that cannot be saved ends the run") {
  const TemporaryFolder folder;
  TinyRun run(folder.file("checkpoints"), {"train.steps=9", "train.save_every=1"});
  Thief thief(folder.file("checkpoints"), 3, -1);
  try {
    run.trainer->run(thief);
    FAIL("went on");
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::kEnvironment);
  }
  CHECK(thief.losses.size() == 5);
  CHECK(checkpoints_in(folder.file("checkpoints-taken")) ==
        std::vector<std::string>{"step-1", "step-2"});
}

TEST_CASE("Trainer's checkpoints: one that cannot be saved at the end leaves the result") {
  const TemporaryFolder folder;
  TinyRun run(folder.file("checkpoints"), {"train.steps=4"});
  Thief thief(folder.file("checkpoints"), 4, -1);
  CHECK(run.trainer->run(thief) == TrainingEnd::kFinished);
  CHECK(thief.notes.size() == 1);
}

}  // namespace
}  // namespace radgpt
