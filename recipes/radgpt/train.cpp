#include <atomic>
#include <csignal>
#include <iostream>

#include "libradgpt/config/recipe_file.h"
#include "libradgpt/train/run.h"
#include "recipes/radgpt/progress.h"
#include "recipes/radgpt/verbs.h"

namespace radgpt {

namespace {

std::atomic<bool> stop_requested{false};
volatile std::sig_atomic_t received_signal = 0;

/// The first signal asks the run to save and stop; a second one ends the process at once.
void request_stop(int signal) {
  received_signal = signal;
  stop_requested = true;
  std::signal(signal, SIG_DFL);
}

void train(const Recipe& recipe) {
  check_paths(recipe);
  std::signal(SIGTERM, request_stop);
  std::signal(SIGINT, request_stop);
  Progress progress;
  const RunResult result = run_training(recipe, progress, stop_requested);
  switch (result.end) {
    case TrainingEnd::kFinished:
      std::cout << "trained " << result.step << " steps; result in " << result.folder << "\n";
      return;
    case TrainingEnd::kStoppedEarly:
      std::cout << "stopped after " << result.step
                << " steps without improvement; result of the best in " << result.folder << "\n";
      return;
    case TrainingEnd::kInterrupted:
      std::cout << "stopped and saved after " << result.step
                << " steps; go on with output.existing=resume\n";
      std::cout.flush();
      std::raise(received_signal);  // so that the caller sees 130 or 143, as after any signal
  }
}

}  // namespace

void add_train(CLI::App& app) {
  CLI::App* verb = app.add_subcommand("train", "fine-tune as a recipe says; leaves a run folder");
  verb->footer("Fields of a recipe:\n" + recipe_help());
  const auto arguments = add_recipe_arguments(*verb);
  verb->callback([arguments] { train(arguments->read()); });
}

}  // namespace radgpt
