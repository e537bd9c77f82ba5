#include "libradgpt/train/run.h"

#include <filesystem>

#include "tests/catch.h"
#include "tests/train/toy_run.h"

namespace radgpt {
namespace {

/// The message of the Error(kInput) that training ends with; empty if there is none.
std::string message_of_training(const ToyRun& toy, const std::vector<std::string>& more = {}) {
  try {
    toy.train(more);
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::kInput);
    return error.what();
  }
  return "";
}

TEST_CASE("Run: early stopping without validation is refused") {
  const ToyRun toy({"train.steps=1", "train.early_stop=3", "data.validation_fraction=0"});
  CHECK(message_of_training(toy) ==
        "toy.yaml: train.early_stop: must be 0 where no report is in validation, got 3");
}

TEST_CASE("Run: a finished run without checkpoints is not silently trained again") {
  const ToyRun toy({"train.steps=1", "output.existing=resume"});
  toy.train();
  std::filesystem::remove_all(toy.run("checkpoints"));
  const std::string weights = toy.folder().read("run/adapter/adapter_model.safetensors");
  CHECK(message_of_training(toy).find("run: output.existing: must not be resume where a result") !=
        std::string::npos);
  CHECK(toy.folder().read("run/adapter/adapter_model.safetensors") == weights);
}

TEST_CASE("Run: a resume that is refused leaves the recipe of the run") {
  const ToyRun toy({"train.steps=1", "output.existing=resume"});
  toy.train();
  const std::string recipe = toy.folder().read("run/recipe.yaml");
  CHECK(message_of_training(toy, {"optim.learning_rate=0.1", "lora.rank=8"})
            .find("run/recipe.yaml: lora.rank, optim.learning_rate: must be as in the run that is "
                  "resumed") != std::string::npos);
  CHECK(toy.folder().read("run/recipe.yaml") == recipe);
}

TEST_CASE("Run: overwrite takes away what a run left, once its inputs are read") {
  const ToyRun toy;
  toy.train({"train.steps=1"});
  toy.folder().write("run/notes.txt", "mine");
  toy.folder().write("run/scores.json", "{}");
  SECTION("inputs that cannot be used leave all as it was") {
    CHECK(message_of_training(toy, {"output.existing=overwrite", "model.path=/nowhere"}) != "");
    CHECK(std::filesystem::exists(toy.run("adapter")));
    CHECK(std::filesystem::exists(toy.run("checkpoints/step-1")));
  }
  SECTION("files of others stay") {
    toy.train({"output.existing=overwrite", "train.steps=2"});
    CHECK(toy.folder().read("run/notes.txt") == "mine");
    CHECK_FALSE(std::filesystem::exists(toy.run("scores.json")));
    CHECK_FALSE(std::filesystem::exists(toy.run("checkpoints/step-1")));
    CHECK(std::filesystem::exists(toy.run("checkpoints/step-2")));
  }
  SECTION("a folder with a recipe alone is not that of a run") {
    std::filesystem::remove_all(toy.run("checkpoints"));
    std::filesystem::remove(toy.run("manifest.json"));
    CHECK(message_of_training(toy, {"output.existing=overwrite"})
              .find("run: output.folder: must be the folder of a run") != std::string::npos);
    CHECK(std::filesystem::exists(toy.run("adapter")));
  }
}

TEST_CASE("Run: a folder with nothing but a lock is new") {
  const ToyRun toy({"train.steps=1"});
  std::filesystem::create_directories(toy.run("checkpoints"));
  toy.folder().write("run/checkpoints/.lock", "1");
  CHECK(message_of_training(toy).empty());
}

TEST_CASE("Run: sequences longer than the base takes are refused") {
  const ToyRun toy({"train.steps=1", "model.max_length=65"});
  CHECK(message_of_training(toy) ==
        "toy.yaml: model.max_length: must be at most 64, the model_max_length of the base, got 65");
}

}  // namespace
}  // namespace radgpt
