// Trains with the head of this folder, as `radgpt train` would:
//
//   custom_head                        on made-up reports in ./custom_head_example, in seconds
//   custom_head RECIPE [FIELD=VALUE …]  as your recipe says, with train.head=focal
#include <atomic>
#include <filesystem>
#include <iostream>

#include "libradgpt/base/error.h"
#include "libradgpt/config/recipe_file.h"
#include "libradgpt/data/simulate.h"
#include "libradgpt/train/run.h"

namespace {

using namespace radgpt;

constexpr char kFolder[] = "custom_head_example";

constexpr char kRecipe[] = R"(
model: {hidden_size: 64, intermediate_size: 128, layers: 2, heads: 4, position: alibi,
        max_length: 1024, tokenizer_pieces: 1800}
data: {sources: [{reports: [custom_head_example/reports.jsonl]}]}
train: {head: focal, head_task: abnormal, epochs: 0, steps: 20, pack_tokens: 2048}
optim: {learning_rate: 0.01}
output: {folder: custom_head_example/run}
)";

class LossLines : public RunObserver {
 public:
  void on_step(const StepRecord& record) override {
    std::cout << "step " << record.step << " of " << record.steps << "  loss " << record.loss
              << "\n";
  }
  void on_evaluation(const EvaluationRecord& record) override {
    std::cout << "validation loss " << record.loss << "\n";
  }
  void on_note(const std::string& note) override { std::cout << note << "\n"; }
};

Recipe recipe_for_made_up_reports() {
  std::filesystem::remove_all(kFolder);
  write_simulated_reports(kFolder, 100, 1);
  return parse_recipe(kRecipe, "custom_head");
}

}  // namespace

int main(int argc, char** argv) {
  try {
    const Recipe recipe =
        argc < 2 ? recipe_for_made_up_reports() : read_recipe(argv[1], {argv + 2, argv + argc});
    LossLines lines;
    const std::atomic<bool> stop{false};
    std::cout << "result in " << run_training(recipe, lines, stop).folder << "\n";
  } catch (const Error& error) {
    std::cerr << "error: " << error.what() << "\n";
    return error.exit_code();
  }
}
