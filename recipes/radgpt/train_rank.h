#pragma once

#include "libradgpt/config/recipe.h"
#include "libradgpt/distributed/rank_environment.h"

namespace radgpt {

/// What SIGTERM or SIGINT does to a rank that saves already because of an earlier one.
enum class SecondSignal {
  kEnds,     ///< ends it at once, as it would any program
  kNothing,  ///< that is left to a supervisor: a terminal, Slurm or systemd signals all processes
             ///< of a run together, and what the supervisor passes on comes on top
};

/// Trains as one of the ranks of a run. Rank 0 shows progress and says how the run has ended; the
/// Error of any of several begins with its name, "rank 1 (host): ". SIGTERM and SIGINT save and
/// end the run as the signal would.
void train_rank(const Recipe& recipe, const RankEnvironment& environment, SecondSignal second);

}  // namespace radgpt
