#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "libradgpt/base/error.h"
#include "libradgpt/distributed/rendezvous.h"

namespace radgpt {

/// Finds out who is to blame when ranks stop answering, and tells all others.
///
/// A thread of its own writes a sign of life into the store every tenth of a second: a count, the
/// step, and how many verbs the rank has come to. When a verb fails, its rank looks at the
/// processes of its own machine, which the system knows to have died or been stopped; else it calls
/// the roll: whoever shows no further sign within half a second is dead, stopped or cut off; else
/// whoever has come to the fewest verbs hangs. The first accusation in the store is the verdict
/// that every rank gives; so one that fails because of another's end names the first. The rank that
/// keeps the store stays until all others have heard the verdict.
///
/// Each rank looks for the signs of the next one and of the one before, all the time. Where they
/// stay away for the time-out while a verb may take longer than that, the roll is called as after a
/// failure.
class PeerWatch {
 public:
  /// `on_failure` is called on the watch's thread, once, when there is a verdict and this rank has
  /// not asked for it within a second, because it computes or hangs itself.
  PeerWatch(const Rendezvous& rendezvous, int rank, std::function<void(const Error&)> on_failure);
  /// Ends the thread, or leaves it behind if the store does not answer.
  ~PeerWatch();
  PeerWatch(const PeerWatch&) = delete;
  PeerWatch& operator=(const PeerWatch&) = delete;

  void enter_step(int64_t step);
  void enter_verb();
  /// While true, `on_failure` is not called: what this rank does is not to be broken off.
  void set_undisturbed(bool undisturbed);

  /// The verdict so far.
  std::optional<Error> verdict();
  /// Why a verb has failed: the verdict, or an accusation made by calling the roll. `what` is what
  /// was seen, as "closed the connection" or "did not answer within 5 s". Takes about a second, two
  /// where the store answers slowly.
  Error explain(const std::string& what);
  /// Waits until `is_done`, however long that takes while ranks and store show signs of life. Else
  /// why this rank ends: with the verdict of another rank, or about a second and a half after
  /// `timeout` seconds without a sign, two where the store answers slowly. The verb is then still
  /// under way.
  std::optional<Error> await(const std::function<bool()>& is_done, double timeout);
  /// Tells all others that this rank ends with an error of its own.
  void accuse_self(ErrorKind kind);
  /// Waits until every rank has said so, at most `seconds`: then nobody needs this rank any more.
  void finish(double seconds);

 private:
  struct Shared;
  Error conclude(std::unique_lock<std::mutex>& lock);

  std::shared_ptr<Shared> shared_;
};

}  // namespace radgpt
