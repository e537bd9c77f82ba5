#include "libradgpt/distributed/local_ranks.h"

#include <arpa/inet.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstdio>
#include <iostream>
#include <new>
#include <string>
#include <thread>
#include <vector>

#include "libradgpt/base/error.h"
#include "libradgpt/base/files.h"
#include "tests/catch.h"

namespace radgpt {
namespace {

/// What ranks, their supervisor and the test see of each other.
struct Shared {
  std::atomic<int64_t> step{0};  ///< "of the newest checkpoint"
  std::atomic<int> starts{0};    ///< of ranks
  std::atomic<int> signals{0};   ///< that ranks have counted
};

Shared* const shared =
    new (mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0))
        Shared;

/// Bytes that processes write and the test reads.
class Pipe {
 public:
  Pipe() {
    int ends[2];
    REQUIRE(pipe(ends) == 0);
    out_ = FileDescriptor(ends[0]);
    in_ = FileDescriptor(ends[1]);
  }
  void write(const std::string& text) const {
    if (::write(in_.get(), text.data(), text.size()) < 0) std::abort();
  }
  /// The next `size` bytes; less if all writers have ended before.
  std::string read(size_t size) const {
    std::string text(size, ' ');
    size_t done = 0;
    while (done < size) {
      const ssize_t count = ::read(out_.get(), text.data() + done, size - done);
      if (count <= 0) break;
      done += static_cast<size_t>(count);
    }
    return text.substr(0, done);
  }
  int writing_end() const { return in_.get(); }
  void close_writing_end() { in_ = FileDescriptor(); }

 private:
  FileDescriptor out_;
  FileDescriptor in_;
};

/// Without the handlers of Catch2, and without output that this process has yet to write.
pid_t fork_plainly() {
  std::cout.flush();
  std::fflush(nullptr);
  const pid_t process = fork();
  if (process == 0) {
    for (const int signal : {SIGTERM, SIGINT}) std::signal(signal, SIG_DFL);
  }
  return process;
}

/// run_local_ranks in a process with one thread, which this one may not be.
class Supervisor {
 public:
  explicit Supervisor(LocalRanks ranks) {
    shared->step = shared->starts = shared->signals = 0;
    ranks.progress = [] { return shared->step.load(); };
    if (!ranks.note) ranks.note = [this](const std::string& note) { notes_.write(note + "\n"); };
    process_ = fork_plainly();
    if (process_ == 0) {
      int code = 0;
      try {
        code = run_local_ranks(ranks);
      } catch (const Error& error) {
        notes_.write(error.what());
        code = error.exit_code();
      }
      _exit(code);
    }
    notes_.close_writing_end();
  }
  ~Supervisor() {
    if (process_ > 0) {
      kill(process_, SIGKILL);
      waitpid(process_, nullptr, 0);
    }
  }

  void send(int signal) const { kill(process_, signal); }
  /// Its exit code; 128 + signal if one has ended it.
  int wait() {
    int status = 0;
    waitpid(process_, &status, 0);
    process_ = -1;
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
  }
  std::string notes() const { return notes_.read(10000); }

 private:
  Pipe notes_;
  pid_t process_ = -1;
};

LocalRanks ranks_of(int count, std::function<int(const RankEnvironment&)> run) {
  LocalRanks ranks;
  ranks.count = count;
  ranks.run = [run = std::move(run)](const RankEnvironment& environment) {
    ++shared->starts;
    return run(environment);
  };
  ranks.grace_period = 1000;  // a test that needs the end of it says so
  ranks.back_off = 0.001;
  return ranks;
}

int die() {
  raise(SIGKILL);
  return 0;
}

[[noreturn]] void wait_for_ever() {
  while (true) pause();
}

int listening_sockets() {
  int count = 0;
  for (int descriptor = 0; descriptor < 256; ++descriptor) {
    int listens = 0;
    socklen_t size = sizeof listens;
    getsockopt(descriptor, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size);
    count += listens;
  }
  return count;
}

TEST_CASE("Local ranks: end with 0 when all have, each with its place") {
  const Pipe places;
  const int others = listening_sockets();  // of tests before
  for (const int count : {1, 3}) {
    Supervisor supervisor(ranks_of(count, [&](const RankEnvironment& environment) {
      const bool meets = environment.port != 0 && environment.address == "127.0.0.1";
      const bool listens = environment.listening_socket >= 0;
      const bool should_listen = meets && environment.rank == 0;
      places.write(concat(environment.rank, environment.size, environment.local_rank,
                          environment.generation, meets, listens == should_listen,
                          listening_sockets() == others + should_listen, " "));
      return 0;
    }));
    CHECK(supervisor.wait() == 0);
    CHECK(supervisor.notes().empty());
    CHECK(shared->starts == count);
  }
  const std::string seen = places.read(32);
  CHECK(seen.substr(0, 8) == "0100011 ");
  for (const char* place : {"0300111 ", "1310111 ", "2320111 "}) {
    CHECK(seen.find(place, 8) != std::string::npos);
  }
}

TEST_CASE("Local ranks: rank 0 listens where the others come to") {
  Supervisor supervisor(ranks_of(2, [](const RankEnvironment& environment) {
    if (environment.rank == 0) {
      const FileDescriptor other(accept(environment.listening_socket, nullptr, nullptr));
      char byte = 0;
      return read(other.get(), &byte, 1) == 1 && byte == 'x' ? 0 : 3;
    }
    const FileDescriptor other(socket(AF_INET, SOCK_STREAM, 0));
    sockaddr_in place = {};
    place.sin_family = AF_INET;
    place.sin_port = htons(environment.port);
    inet_pton(AF_INET, environment.address.c_str(), &place.sin_addr);
    const bool met = connect(other.get(), reinterpret_cast<sockaddr*>(&place), sizeof place) == 0 &&
                     write(other.get(), "x", 1) == 1;
    return met ? 0 : 3;
  }));
  CHECK(supervisor.wait() == 0);
}

TEST_CASE("Local ranks: all start anew after one has crashed, and go on") {
  Supervisor supervisor(ranks_of(3, [](const RankEnvironment& environment) {
    if (environment.generation == 1) return 0;
    shared->step = 40;
    return environment.rank == 1 ? die() : 5;
  }));
  CHECK(supervisor.wait() == 0);
  CHECK(shared->starts == 6);
  CHECK(supervisor.notes() == "rank 1 was killed by signal 9; restart 1 from step 40\n");
}

TEST_CASE("Local ranks: a crash at the same step is tried again three times") {
  Supervisor supervisor(ranks_of(
      2, [](const RankEnvironment& environment) { return environment.rank == 1 ? die() : 5; }));
  CHECK(supervisor.wait() == 5);
  CHECK(shared->starts == 8);
  CHECK(supervisor.notes() ==
        "rank 1 was killed by signal 9; restart 1 from step 0\n"
        "rank 1 was killed by signal 9; restart 2 from step 0\n"
        "rank 1 was killed by signal 9; restart 3 from step 0\n"
        "rank 1 was killed by signal 9; given up after 3 restarts without progress, at step 0\n");
}

TEST_CASE("Local ranks: with progress between them there may be any number of restarts") {
  Supervisor supervisor(
      ranks_of(1, [](const RankEnvironment&) { return ++shared->step == 20 ? 0 : 5; }));
  CHECK(supervisor.wait() == 0);
  CHECK(shared->starts == 20);
  CHECK(supervisor.notes().find("rank 0 ended with code 5; restart 19 from step 19\n") !=
        std::string::npos);
}

TEST_CASE("Local ranks: restarts are counted anew after progress") {
  Supervisor supervisor(ranks_of(1, [](const RankEnvironment& environment) {
    if (environment.generation == 2) shared->step = 7;
    return 5;
  }));
  CHECK(supervisor.wait() == 5);
  CHECK(shared->starts == 6);  // two, one more with progress, and three without
}

TEST_CASE("Local ranks: what a restart would not mend ends the run") {
  for (const int code : {1, 2, 3, 4, 6, 7, 8}) {
    INFO(code);
    Supervisor supervisor(ranks_of(3, [code](const RankEnvironment& environment) {
      return environment.rank == 1 ? code : 5;
    }));
    CHECK(supervisor.wait() == code);
    CHECK(shared->starts == 3);
    CHECK(supervisor.notes().empty());
  }
}

TEST_CASE("Local ranks: a fault is not hidden by peers that end before it") {
  const Pipe ready;
  LocalRanks ranks = ranks_of(2, [&](const RankEnvironment& environment) {
    if (environment.rank == 0) return ready.read(1) == "r" ? 5 : 1;
    std::signal(SIGTERM, [](int) { _exit(3); });  // at the end of the grace period
    ready.write("r");
    wait_for_ever();
  });
  ranks.grace_period = 0.05;
  Supervisor supervisor(ranks);
  CHECK(supervisor.wait() == 3);
  CHECK(shared->starts == 2);
}

TEST_CASE("Local ranks: a rank that hangs after its peer's end is ended, and not blamed") {
  for (const bool obeys : {true, false}) {
    const Pipe ready;
    LocalRanks ranks = ranks_of(2, [&](const RankEnvironment& environment) {
      if (environment.generation == 1) return 0;
      if (environment.rank == 1) return ready.read(1) == "r" ? 5 : 1;
      if (!obeys) std::signal(SIGTERM, SIG_IGN);
      ready.write("r");
      wait_for_ever();
    });
    ranks.grace_period = 0.05;
    Supervisor supervisor(ranks);
    CHECK(supervisor.wait() == 0);
    CHECK(supervisor.notes() == "rank 1 ended with code 5; restart 1 from step 0\n");
  }
}

/// Ranks that say when they count signals, of which the last one ends them.
LocalRanks waiting_ranks(const Pipe& ready, void (*handler)(int)) {
  return ranks_of(2, [&ready, handler](const RankEnvironment&) -> int {
    std::signal(SIGTERM, handler);
    std::signal(SIGINT, handler);
    ready.write("r");
    wait_for_ever();
  });
}

TEST_CASE("Local ranks: SIGTERM and SIGINT are passed on once and end the run") {
  for (const int signal : {SIGTERM, SIGINT}) {
    const Pipe ready;
    Supervisor supervisor(waiting_ranks(ready, [](int received) {
      ++shared->signals;
      std::signal(received, SIG_DFL);
      raise(received);
    }));
    CHECK(ready.read(2) == "rr");
    supervisor.send(signal);
    CHECK(supervisor.wait() == 128 + signal);
    CHECK(shared->signals == 2);
    CHECK(shared->starts == 2);
    CHECK(supervisor.notes().empty());
  }
}

TEST_CASE("Local ranks: ranks that save and end well after SIGTERM are a success") {
  const Pipe ready;
  Supervisor supervisor(waiting_ranks(ready, [](int) { _exit(0); }));
  CHECK(ready.read(2) == "rr");
  supervisor.send(SIGTERM);
  CHECK(supervisor.wait() == 0);
}

TEST_CASE("Local ranks: a second signal kills") {
  static const Pipe ready;
  Supervisor supervisor(waiting_ranks(ready, [](int) { ready.write("s"); }));
  CHECK(ready.read(2) == "rr");
  supervisor.send(SIGTERM);
  CHECK(ready.read(2) == "ss");
  supervisor.send(SIGINT);
  CHECK(supervisor.wait() == 128 + SIGTERM);
  CHECK(shared->starts == 2);
}

TEST_CASE("Local ranks: what the caller had in its buffers is written once") {
  Pipe output;
  const pid_t process = fork_plainly();
  if (process == 0) {
    dup2(output.writing_end(), STDOUT_FILENO);
    std::printf("caller ");
    LocalRanks ranks = ranks_of(2, [](const RankEnvironment&) {
      std::printf("rank ");
      return 0;
    });
    ranks.progress = [] { return 0; };
    _exit(run_local_ranks(ranks));
  }
  waitpid(process, nullptr, 0);
  output.close_writing_end();
  CHECK(output.read(100) == "caller rank rank ");
}

TEST_CASE("Local ranks: SIGTERM between two generations is no restart") {
  LocalRanks ranks = ranks_of(1, [](const RankEnvironment&) { return 5; });
  ranks.back_off = 1000;
  ranks.note = [](const std::string& note) {
    if (note.find("restart 2") != std::string::npos) raise(SIGTERM);
  };
  Supervisor supervisor(ranks);
  CHECK(supervisor.wait() == 128 + SIGTERM);
  CHECK(shared->starts == 2);
}

TEST_CASE("Local ranks: end when their supervisor dies") {
  Pipe ready;
  Supervisor supervisor(waiting_ranks(ready, [](int) { _exit(0); }));
  CHECK(ready.read(2) == "rr");
  ready.close_writing_end();
  supervisor.send(SIGKILL);
  CHECK(ready.read(1).empty());  // all that could write have ended
  CHECK(supervisor.wait() == 128 + SIGKILL);
}

TEST_CASE("Local ranks: a caller with further threads is refused") {
  const pid_t process = fork_plainly();
  if (process == 0) {
    std::thread other([] { wait_for_ever(); });
    LocalRanks ranks = ranks_of(1, [](const RankEnvironment&) { return 0; });
    ranks.progress = [] { return 0; };
    int code = 0;
    try {
      run_local_ranks(ranks);
    } catch (const Error& error) {
      code = error.exit_code();
    }
    _exit(code);
  }
  int status = 0;
  waitpid(process, &status, 0);
  CHECK(WEXITSTATUS(status) == 4);
}

}  // namespace
}  // namespace radgpt
