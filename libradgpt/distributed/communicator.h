#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "libradgpt/base/error.h"
#include "libradgpt/distributed/rank_environment.h"

namespace radgpt {

/// How ranks are connected.
struct CommunicatorOptions {
  /// Network interface (eth0) or address of this machine that other ranks reach it by, the only one
  /// that is listened on; empty: the one from which the store's address is reached.
  std::string interface;
  /// Seconds for all ranks to connect, and for those that show signs of life to come to a verb that
  /// may be delayed: the first, and those after expect_delay.
  double start_timeout = 600;
  /// Seconds that a rank is waited for in any other verb, and that it may show no sign of life.
  double timeout = 120;
  /// Called on another thread when a rank has failed and this one has not come to a verb within a
  /// second, because it computes or hangs itself: to end the process, say. May be empty.
  std::function<void(const Error&)> on_failure = {};
  at::Device device = at::kCPU;  ///< of the tensors; CUDA: NCCL, on the current device
};

/// A verb under way: its tensors are neither to be changed nor read before `wait` returns.
/// Destroyed before that, it waits.
class Transfer {
 public:
  class State;

  Transfer();  ///< nothing to wait for
  explicit Transfer(std::unique_ptr<State> state);
  ~Transfer();
  Transfer(Transfer&&) noexcept;
  Transfer& operator=(Transfer&&) noexcept;

  /// On a GPU the current stream waits, not the caller. Throws Error as the verbs of Communicator.
  void wait();

 private:
  std::unique_ptr<State> state_;
};

/// The ranks of a run and what they can do together, over LibTorch's c10d: Gloo for processors,
/// NCCL for GPUs. All ranks call the same verbs in the same order, from one thread at a time.
///
/// A rank that does not answer ends the verb of the others with Error(kPeer): one line that names
/// rank, host and step, at once if its process has died, after the time-out if it hangs or its
/// network is cut. Nothing works after that.
///
/// c10d cannot end a verb that waits. After an error threads, connections and, on rank 0, the
/// store's port may stay behind: a program had better end, by _exit.
///
/// SIGPIPE is ignored from the first communicator of several ranks on, unless the program handles
/// it: a lost connection is an Error, and no reason to die.
///
/// Store and Gloo neither authenticate nor encrypt: whoever reaches the interface can take part.
class Communicator {
 public:
  /// A process on its own; every verb is a copy.
  Communicator();
  /// Meets the other ranks. Throws Error: kInput for an interface that is not there, kEnvironment
  /// for a port in use, kPeer for a host that cannot be found or reached and for ranks that have
  /// not come within start_timeout, which it lists.
  Communicator(const RankEnvironment& environment, const CommunicatorOptions& options);
  /// Waits for all ranks to come here, at most the time-out: a rank that left earlier would take
  /// the store along. Not after an error.
  ~Communicator();
  Communicator(const Communicator&) = delete;
  Communicator& operator=(const Communicator&) = delete;

  int rank() const;
  int size() const;
  /// Ranks on this machine.
  int local_size() const;
  /// "rank 3 (host-b)", for messages.
  std::string name(int rank) const;

  /// Elements [0, send_counts[0]) of the flat `send` go to rank 0, the next send_counts[1] to rank
  /// 1, …; `receive` gets receive_counts[r] elements of each rank r, in the order of ranks. Both
  /// contiguous, of one type.
  Transfer exchange(at::Tensor receive, std::vector<int64_t> receive_counts, at::Tensor send,
                    std::vector<int64_t> send_counts);
  /// all[r] = mine of rank r; all [size, …], contiguous as `mine` [...]. `mine` may be all[rank].
  Transfer gather(at::Tensor all, at::Tensor mine);
  /// values = sum over ranks, in an order of c10d's own; the same bits on every rank.
  Transfer sum(at::Tensor values);
  /// values = those of rank 0.
  Transfer broadcast(at::Tensor values);

  /// Numbers, equally many, of each rank, in the order of ranks. Like all that follow, it waits.
  std::vector<std::vector<double>> gather_numbers(const std::vector<double>& mine);
  /// A text of each rank, in the order of ranks.
  std::vector<std::string> gather_texts(const std::string& mine);
  /// Throws Error(kind) on every rank, naming `what` and the first rank whose `value` is not that
  /// of most ranks, unless there is none; where there is no majority, two that differ.
  void require_same(const std::string& what, const std::string& value, ErrorKind kind);

  /// Says where this rank is, for messages of others.
  void enter_step(int64_t step);

  /// Before the next verb some rank does something long (reads or writes files): there all wait for
  /// each other, in the call that starts it, as at the start. To be said by all ranks.
  void expect_delay();
  /// Waits until all ranks have come here, however long that takes while they show signs of life.
  void await_all();
  /// This rank ends with an error that the others have no part in: their next verb fails with its
  /// kind, so that whoever restarts ranks sees whether that can help.
  void end_with(const Error& error);

  /// Bytes that this rank has sent so far, and seconds it has waited, in Transfer::wait and where a
  /// verb may be delayed.
  int64_t bytes_sent() const;
  double seconds_waited() const;

 private:
  friend class Transfer;
  friend class Undisturbed;
  class State;
  std::unique_ptr<State> state_;
};

/// While it lives, on_failure is not called: what this rank writes is written to the end, and its
/// next verb tells of the failure.
class Undisturbed {
 public:
  explicit Undisturbed(Communicator& communicator);
  ~Undisturbed();
  Undisturbed(const Undisturbed&) = delete;
  Undisturbed& operator=(const Undisturbed&) = delete;

 private:
  Communicator& communicator_;
};

}  // namespace radgpt
