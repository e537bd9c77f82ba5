#include <unistd.h>

#include <atomic>
#include <csignal>
#include <iostream>

#include "libradgpt/config/recipe_file.h"
#include "libradgpt/train/assembly.h"
#include "libradgpt/train/options.h"
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

/// Rank 0 speaks for all.
class Silence : public RunObserver {
 public:
  void on_step(const StepRecord&) override {}
  void on_evaluation(const EvaluationRecord&) override {}
  void on_note(const std::string&) override {}
};

void print_result(const RunResult& result) {
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
  }
}

/// Another rank has failed while this one is in the middle of something long.
void end_process(const RankEnvironment& environment, const Error& error) {
  std::cerr << concat("error: rank ", environment.rank, ": ", error.what(), "\n");
  _exit(error.exit_code());
}

RunResult train_as_rank(const Recipe& recipe, const RankEnvironment& environment) {
  choose_gpu(recipe, environment.local_rank);
  CommunicatorOptions options = communicator_options(recipe);
  options.on_failure = [&environment](const Error& error) { end_process(environment, error); };
  Communicator ranks(environment, options);
  if (environment.rank == 0) {
    Progress progress;
    return run_training(recipe, progress, stop_requested, ranks);
  }
  Silence silence;
  return run_training(recipe, silence, stop_requested, ranks);
}

}  // namespace

static void train_rank(const Recipe& recipe, const RankEnvironment& environment) {
  check_paths(recipe);
  std::signal(SIGTERM, request_stop);
  std::signal(SIGINT, request_stop);
  RunResult result;
  try {
    result = train_as_rank(recipe, environment);
  } catch (const Error& error) {
    if (environment.size == 1) throw;
    throw Error(error.kind(), concat("rank ", environment.rank, ": ", error.what()));
  }
  if (environment.rank == 0) print_result(result);
  if (result.end == TrainingEnd::kInterrupted && received_signal != 0) {
    std::raise(received_signal);  // so that the caller sees 130 or 143, as after any signal
  }
}

void add_train(CLI::App& app) {
  CLI::App* verb = app.add_subcommand(
      "train",
      "fine-tune as a recipe says, one rank of those a launcher starts; leaves a run folder");
  verb->footer("Fields of a recipe:\n" + recipe_help());
  const auto arguments = add_recipe_arguments(*verb);
  verb->callback([arguments] { train_rank(arguments->read(), read_rank_environment()); });
}

}  // namespace radgpt
