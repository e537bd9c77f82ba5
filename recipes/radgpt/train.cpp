#include "libradgpt/config/recipe_file.h"
#include "recipes/radgpt/train_rank.h"
#include "recipes/radgpt/verbs.h"

namespace radgpt {

namespace {

void train(const Recipe& recipe) {
  const RankEnvironment environment = read_rank_environment();
  check_paths(recipe);
  train_rank(recipe, environment, SecondSignal::kEnds);
}

}  // namespace

void add_train(CLI::App& app) {
  CLI::App* verb = app.add_subcommand("train", "fine-tune as a recipe says; leaves a run folder");
  verb->footer(
      "Started N times by torchrun, srun (Slurm), mpirun (Open MPI) or Kubernetes it is one run of "
      "N ranks; on one machine `radgpt launch` does so.\n\nFields of a recipe:\n" +
      recipe_help());
  const auto arguments = add_recipe_arguments(*verb);
  verb->callback([arguments] { train(arguments->read()); });
}

}  // namespace radgpt
