#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "libradgpt/distributed/rank_environment.h"

namespace radgpt {

/// Ranks that share this machine, as `run_local_ranks` starts and watches them.
struct LocalRanks {
  int count = 1;
  /// The work of a rank, in a process of its own; its value is the exit code. Must not throw.
  std::function<int(const RankEnvironment&)> run;
  /// How far the work is that a restart goes on from: the step of the newest checkpoint.
  std::function<int64_t()> progress;
  /// Hears of every restart, and of giving up, in one line.
  std::function<void(const std::string&)> note;

  int most_restarts = 3;  ///< without progress between them
  /// Seconds that ranks have to end by themselves once one of them has failed, and again after
  /// SIGTERM before SIGKILL.
  double grace_period = 10;
  double back_off = 0.1;  ///< seconds before the second restart without progress; then doubled
};

/// Runs all ranks to their end and gives the exit code of the whole:
///
///   0             all ranks have ended with 0
///   2, 3, 4, …    the first code of a rank that is neither 0 nor 5: nothing a restart would mend
///   5             restarts have not helped
///   128 + signal  SIGTERM or SIGINT has come: it is passed on to all ranks, which may save and
///                 end; a second one kills them. The caller should end by the same signal.
///
/// A rank that ends with 5 (kPeer) or dies by a signal from elsewhere may be retried: once all
/// have ended, all are started anew, with the next generation in their RankEnvironment. They meet
/// at a free port of 127.0.0.1; rank 0 gets, and owns, a socket that listens there already.
///
/// Ranks are forked without exec, so they begin with all that the caller has read. That needs a
/// caller with a single thread: locks that another one holds would stay locked in the ranks, and
/// neither OpenMP nor CUDA lives on. If the caller dies, the ranks get SIGTERM.
///
/// A terminal or a process manager may signal ranks and caller at once, so a rank should take no
/// notice of signals after the first.
///
/// Throws Error(kEnvironment) if no process can be started or the caller has further threads.
int run_local_ranks(const LocalRanks& ranks);

}  // namespace radgpt
