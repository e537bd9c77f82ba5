#include <csignal>
#include <filesystem>
#include <iostream>
#include <optional>

#include "libradgpt/checkpoint/checkpoint_store.h"
#include "libradgpt/config/recipe_file.h"
#include "libradgpt/distributed/local_ranks.h"
#include "libradgpt/train/assembly.h"
#include "recipes/radgpt/current_error.h"
#include "recipes/radgpt/train_rank.h"
#include "recipes/radgpt/verbs.h"

namespace radgpt {

namespace {

/// A run that may be started several times. Its folder tells how far it is: a run writes its recipe
/// there once it has removed what output.existing=overwrite lets it.
class Attempts {
 public:
  explicit Attempts(Recipe recipe)
      : recipe_(std::move(recipe)), folder_{recipe_.output.folder}, found_(time_of_recipe()) {}

  /// Looks, between two attempts, how far the run is: the step of its newest checkpoint.
  int64_t look() {
    has_begun_ = time_of_recipe() != found_;
    const bool earlier = recipe_.output.existing == ExistingChoice::kOverwrite && !has_begun_;
    return earlier ? 0 : newest_checkpoint(folder_.checkpoints());
  }

  /// What the next attempt has to do: go on, unless none has got as far as to begin.
  Recipe next() const {
    Recipe recipe = recipe_;
    if (has_begun_) recipe.output.existing = ExistingChoice::kResume;
    return recipe;
  }

 private:
  using Time = std::optional<std::filesystem::file_time_type>;

  Time time_of_recipe() const {
    std::error_code error;
    const auto time = std::filesystem::last_write_time(folder_.recipe(), error);
    return error ? Time() : time;
  }

  Recipe recipe_;
  RunFolder folder_;
  Time found_;
  bool has_begun_ = false;
};

int run_rank(const Attempts& attempts, const RankEnvironment& environment) {
  try {
    train_rank(attempts.next(), environment, SecondSignal::kNothing);
    return 0;
  } catch (...) {
    const Error error = current_error();
    std::cerr << concat("error: ", error.what(), "\n");
    return error.exit_code();
  }
}

void launch(const Recipe& recipe, int count) {
  const RankEnvironment outer = read_rank_environment();
  if (outer.size > 1) {
    fail(ErrorKind::kUsage, "launch: starts the ranks of one machine itself, but is rank ",
         outer.rank, " of ", outer.size, " already; let that launcher start `radgpt train`");
  }
  check_paths(recipe);
  Attempts attempts(recipe);
  LocalRanks ranks;
  ranks.count = count;
  ranks.run = [&attempts](const RankEnvironment& environment) {
    return run_rank(attempts, environment);
  };
  ranks.progress = [&attempts] { return attempts.look(); };
  ranks.note = [](const std::string& note) { std::cerr << note + "\n"; };
  const int code = run_local_ranks(ranks);
  if (code == 128 + SIGTERM || code == 128 + SIGINT) std::raise(code - 128);
  if (code != 0) throw CLI::RuntimeError(code);  // the ranks have said why
}

}  // namespace

void add_launch(CLI::App& app) {
  CLI::App* verb = app.add_subcommand(
      "launch", "fine-tune with several processes (ranks) of this machine, one for each GPU");
  verb->footer(
      "Does what `radgpt train` does, with the same result, bit for bit, for any number of ranks. "
      "A rank that dies brings all of them back from the newest checkpoint, until three restarts "
      "have brought no new one. SIGTERM and SIGINT save and stop; a second one kills.\n\n"
      "Without train.threads the ranks share the processors. For several machines see "
      "examples/cluster.");
  const auto ranks = std::make_shared<int>(0);
  verb->add_option("-n,--ranks", *ranks, "number of processes")
      ->required()
      ->check(CLI::Range(1, 1024));
  const auto arguments = add_recipe_arguments(*verb);
  verb->callback([arguments, ranks] { launch(arguments->read(), *ranks); });
}

}  // namespace radgpt
