// `radgpt train`, with the heads of this folder: custom_head RECIPE [FIELD=VALUE …]
#include <atomic>
#include <iostream>

#include "libradgpt/base/error.h"
#include "libradgpt/config/recipe_file.h"
#include "libradgpt/train/run.h"

namespace {

class Lines : public radgpt::RunObserver {
 public:
  void on_step(const radgpt::StepRecord& record) override {
    std::cout << "step " << record.step << " of " << record.steps << "  loss " << record.loss
              << "\n";
  }
  void on_evaluation(const radgpt::EvaluationRecord& record) override {
    std::cout << "validation loss " << record.loss << "\n";
  }
  void on_note(const std::string& note) override { std::cout << note << "\n"; }
};

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    std::cerr << "usage: custom_head RECIPE [FIELD=VALUE ...]\n";
    return 2;
  }
  try {
    const radgpt::Recipe recipe =
        radgpt::read_recipe(argv[1], std::vector<std::string>(argv + 2, argv + argc));
    Lines lines;
    const std::atomic<bool> stop{false};
    std::cout << "result in " << radgpt::run_training(recipe, lines, stop).folder << "\n";
  } catch (const radgpt::Error& error) {
    std::cerr << "error: " << error.what() << "\n";
    return error.exit_code();
  }
}
