#include "libradgpt/distributed/local_ranks.h"

#include <netinet/in.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cmath>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <iostream>
#include <optional>
#include <set>
#include <vector>

#include "libradgpt/base/error.h"
#include "libradgpt/base/files.h"

namespace radgpt {

namespace {

using Clock = std::chrono::steady_clock;

constexpr int kRetryable = static_cast<int>(ErrorKind::kPeer);

Clock::time_point after(double seconds) {
  return Clock::now() +
         std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds));
}

/// Holds back the signals that are waited for, so that none is lost between two waits.
class HeldSignals {
 public:
  HeldSignals() {
    sigemptyset(&held_);
    for (const int signal : {SIGCHLD, SIGTERM, SIGINT}) sigaddset(&held_, signal);
    sigprocmask(SIG_BLOCK, &held_, &mask_before_);
    // Where SIGCHLD is ignored, the kernel forgets how children have ended.
    struct sigaction by_default = {};
    by_default.sa_handler = SIG_DFL;
    sigaction(SIGCHLD, &by_default, &child_before_);
  }
  ~HeldSignals() { release(); }
  HeldSignals(const HeldSignals&) = delete;
  HeldSignals& operator=(const HeldSignals&) = delete;

  /// Everything as it was before; for ranks too.
  void release() const {
    sigaction(SIGCHLD, &child_before_, nullptr);
    sigprocmask(SIG_SETMASK, &mask_before_, nullptr);
  }

  /// The next signal; 0 at `until`.
  int next(std::optional<Clock::time_point> until) const {
    constexpr int64_t kSecond = 1'000'000'000;
    int signal = -1;
    do {
      if (!until.has_value()) {
        signal = sigwaitinfo(&held_, nullptr);
        continue;
      }
      const auto left =
          std::chrono::duration_cast<std::chrono::nanoseconds>(*until - Clock::now()).count();
      const int64_t wait = std::max<int64_t>(left, 0);
      const timespec timeout = {wait / kSecond, wait % kSecond};
      signal = sigtimedwait(&held_, nullptr, &timeout);
    } while (signal < 0 && errno == EINTR);
    return std::max(signal, 0);
  }

 private:
  sigset_t held_;
  sigset_t mask_before_;
  struct sigaction child_before_ = {};
};

/// Listens at a free port of 127.0.0.1, which goes into `environment`.
FileDescriptor listen_locally(RankEnvironment& environment) {
  FileDescriptor listening(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in place = {};
  place.sin_family = AF_INET;
  place.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof place;
  auto* address = reinterpret_cast<sockaddr*>(&place);
  if (listening.get() < 0 || bind(listening.get(), address, size) != 0 ||
      listen(listening.get(), SOMAXCONN) != 0 ||
      getsockname(listening.get(), address, &size) != 0) {
    fail(ErrorKind::kEnvironment,
         "local ranks: 127.0.0.1 cannot be listened on: ", std::strerror(errno));
  }
  environment.address = "127.0.0.1";
  environment.port = ntohs(place.sin_port);
  return listening;
}

/// The ranks of one generation, killed if they are still there at its end.
class Generation {
 public:
  Generation(const LocalRanks& ranks, int number, const HeldSignals& signals) {
    RankEnvironment environment;
    environment.size = ranks.count;
    environment.generation = number;
    FileDescriptor listening;
    if (ranks.count > 1) listening = listen_locally(environment);
    std::cout.flush();
    std::fflush(nullptr);  // or every rank would write what is in the buffers
    processes_.assign(static_cast<size_t>(ranks.count), kEnded);
    const pid_t caller = getpid();
    for (int rank = 0; rank < ranks.count; ++rank) {
      environment.rank = environment.local_rank = rank;
      environment.listening_socket = rank == 0 ? listening.get() : -1;
      const pid_t process = fork();
      if (process == 0) {
        if (rank != 0) listening = FileDescriptor();
        run_rank(ranks, environment, caller, signals);
      }
      if (process < 0) {
        const std::string reason = std::strerror(errno);
        end_all();
        fail(ErrorKind::kEnvironment, "local ranks: rank ", rank, " cannot be started: ", reason);
      }
      processes_[static_cast<size_t>(rank)] = process;
    }
  }
  ~Generation() { end_all(); }
  Generation(const Generation&) = delete;
  Generation& operator=(const Generation&) = delete;

  bool running() const {
    return std::any_of(processes_.begin(), processes_.end(), [](pid_t id) { return id != kEnded; });
  }

  void send(int signal) {
    sent_.insert(signal);
    for (const pid_t process : processes_) {
      if (process != kEnded) kill(process, signal);
    }
  }

  bool was_sent(int signal) const { return sent_.contains(signal); }

  /// Takes note of the ranks that have ended.
  void collect() {
    for (size_t rank = 0; rank < processes_.size(); ++rank) {
      int status = 0;
      if (processes_[rank] == kEnded || waitpid(processes_[rank], &status, WNOHANG) == 0) continue;
      processes_[rank] = kEnded;
      const bool asked_for = WIFSIGNALED(status) && was_sent(WTERMSIG(status));
      all_well_ = all_well_ && status == 0;
      if (status != 0 && !asked_for) faults_.push_back({rank, status});
    }
  }

  bool has_fault() const { return !faults_.empty(); }

  /// 0, what a restart would not mend, or 5.
  int exit_code() const {
    for (const Fault& fault : faults_) {
      if (WIFEXITED(fault.status) && WEXITSTATUS(fault.status) != kRetryable) {
        return WEXITSTATUS(fault.status);
      }
    }
    return all_well_ ? 0 : kRetryable;
  }

  /// "rank 1 was killed by signal 9": the first that did not only lose a peer, if there is one.
  std::string cause() const {
    const auto is_cause = [](const Fault& fault) {
      return WIFSIGNALED(fault.status) || WEXITSTATUS(fault.status) != kRetryable;
    };
    const auto found = std::find_if(faults_.begin(), faults_.end(), is_cause);
    const Fault& fault = found == faults_.end() ? faults_.front() : *found;
    return WIFSIGNALED(fault.status)
               ? concat("rank ", fault.rank, " was killed by signal ", WTERMSIG(fault.status))
               : concat("rank ", fault.rank, " ended with code ", WEXITSTATUS(fault.status));
  }

 private:
  struct Fault {
    size_t rank;
    int status;
  };
  static constexpr pid_t kEnded = -1;

  /// noexcept: an exception that left a rank would go on in the caller's frames, in the rank.
  [[noreturn]] static void run_rank(const LocalRanks& ranks, const RankEnvironment& environment,
                                    pid_t caller, const HeldSignals& signals) noexcept {
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != caller) _exit(kRetryable);  // it died before it would have been noticed
    signals.release();
    const int code = ranks.run(environment);
    std::cout.flush();
    std::fflush(nullptr);
    _exit(code);
  }

  void end_all() {
    send(SIGKILL);
    for (pid_t& process : processes_) {
      if (process != kEnded) waitpid(process, nullptr, 0);
      process = kEnded;
    }
  }

  std::vector<pid_t> processes_;
  std::set<int> sent_;
  std::vector<Fault> faults_;  ///< in the order of time
  bool all_well_ = true;
};

/// Waits until all have ended; gives the signal that has asked for it, 0 if none has.
int watch(Generation& generation, const HeldSignals& signals, double grace_period) {
  int stop = 0;
  std::optional<Clock::time_point> deadline;
  while (generation.running()) {
    const int signal = signals.next(deadline);
    generation.collect();
    if (signal == SIGTERM || signal == SIGINT) {
      generation.send(stop == 0 ? signal : SIGKILL);
      if (stop == 0) stop = signal;
    }
    if (!deadline.has_value()) {
      if (generation.has_fault()) deadline = after(grace_period);
    } else if (Clock::now() >= *deadline) {
      generation.send(generation.was_sent(SIGTERM) ? SIGKILL : SIGTERM);
      deadline = after(grace_period);
    }
  }
  return stop;
}

/// SIGTERM or SIGINT if one comes within so many seconds, else 0.
int stop_within(double seconds, const HeldSignals& signals) {
  const Clock::time_point until = after(seconds);
  int signal = SIGCHLD;
  while (signal == SIGCHLD) signal = signals.next(until);
  return signal;
}

void require_one_thread() {
  const std::filesystem::directory_iterator threads("/proc/self/task");
  const auto count = std::distance(begin(threads), end(threads));
  if (count > 1) {
    fail(ErrorKind::kEnvironment, "local ranks: must be started by a process with one thread, got ",
         count);
  }
}

}  // namespace

int run_local_ranks(const LocalRanks& ranks) {
  require_one_thread();
  const HeldSignals signals;
  int64_t reached = ranks.progress();
  int restarts = 0;  // since the last progress
  for (int number = 0;; ++number) {
    Generation generation(ranks, number, signals);
    const int stop = watch(generation, signals, ranks.grace_period);
    const int code = generation.exit_code();
    if (code != kRetryable) return code;
    if (stop != 0) return 128 + stop;
    const int64_t step = ranks.progress();
    if (step > reached) restarts = 0;
    reached = std::max(reached, step);
    if (restarts == ranks.most_restarts) {
      ranks.note(concat(generation.cause(), "; given up after ", restarts,
                        " restarts without progress, at step ", step));
      return kRetryable;
    }
    ++restarts;
    ranks.note(concat(generation.cause(), "; restart ", number + 1, " from step ", step));
    const double pause = restarts == 1 ? 0 : std::ldexp(ranks.back_off, restarts - 2);
    if (const int signal = stop_within(pause, signals)) return 128 + signal;
  }
}

}  // namespace radgpt
