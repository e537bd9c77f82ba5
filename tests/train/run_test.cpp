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

}  // namespace
}  // namespace radgpt
