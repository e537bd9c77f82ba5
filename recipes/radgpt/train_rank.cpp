#include "recipes/radgpt/train_rank.h"

#include <limits.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <iostream>

#include "libradgpt/train/assembly.h"
#include "libradgpt/train/options.h"
#include "libradgpt/train/run.h"
#include "recipes/radgpt/current_error.h"
#include "recipes/radgpt/progress.h"

namespace radgpt {

namespace {

std::atomic<bool> stop_requested{false};
volatile std::sig_atomic_t received_signal = 0;

void request_stop(int signal) {
  received_signal = signal;
  stop_requested = true;
}

void handle_signals(SecondSignal second) {
  struct sigaction action = {};
  action.sa_handler = request_stop;
  action.sa_flags = SA_RESTART | (second == SecondSignal::kEnds ? SA_RESETHAND : 0);
  for (const int signal : {SIGTERM, SIGINT}) sigaction(signal, &action, nullptr);
}

/// Rank 0 speaks for all.
class Silence : public RunObserver {
 public:
  void on_step(const StepRecord&) override {}
  void on_evaluation(const EvaluationRecord&) override {}
  void on_note(const std::string&) override {}
};

/// "rank 1 (host): " of several, else nothing.
std::string prefix_of(const RankEnvironment& environment) {
  if (environment.size == 1) return "";
  char host[HOST_NAME_MAX + 1] = {};
  gethostname(host, sizeof host - 1);
  return concat("rank ", environment.rank, " (", host, "): ");
}

void say_end(const RunResult& result) {
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
  }
  std::cout.flush();
}

RunResult run_as_rank(const Recipe& recipe, const RankEnvironment& environment,
                      SecondSignal second) {
  choose_gpu(recipe, environment.local_rank);
  CommunicatorOptions options = communicator_options(recipe);
  // Another rank has failed while this one is in the middle of something long.
  options.on_failure = [prefix = prefix_of(environment)](const Error& error) {
    std::cerr << concat("error: ", prefix, error.what(), "\n");
    _exit(error.exit_code());
  };
  Communicator ranks(environment, options);
  handle_signals(second);  // until here there is nothing to save
  if (environment.rank == 0) {
    Progress progress;
    return run_training(recipe, progress, stop_requested, ranks);
  }
  Silence silence;
  return run_training(recipe, silence, stop_requested, ranks);
}

void train(const Recipe& recipe, const RankEnvironment& environment, SecondSignal second) {
  const RunResult result = run_as_rank(recipe, environment, second);
  if (environment.rank == 0) say_end(result);
  if (result.end == TrainingEnd::kInterrupted) {
    // So that the caller sees 130 or 143, as after any signal; another rank may have got it.
    const int signal = received_signal != 0 ? received_signal : SIGTERM;
    std::signal(signal, SIG_DFL);
    std::raise(signal);
    _exit(128 + signal);  // process 1 of a container takes no such signal from itself
  }
}

}  // namespace

void train_rank(const Recipe& recipe, const RankEnvironment& environment, SecondSignal second) {
  try {
    train(recipe, environment, second);
  } catch (...) {
    const Error error = current_error();
    throw Error(error.kind(), prefix_of(environment) + error.what());
  }
}

}  // namespace radgpt
