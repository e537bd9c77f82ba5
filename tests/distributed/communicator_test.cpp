#include "libradgpt/distributed/communicator.h"

#include <torch/types.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <set>
#include <sstream>
#include <vector>

#include "libradgpt/distributed/network_address.h"
#include "tests/catch.h"
#include "tests/distributed/thread_ranks.h"

namespace radgpt {
namespace {

// Catch's checks are for one thread; ranks compare by throwing.
void require_equal(const at::Tensor& got, const at::Tensor& expected) {
  require(at::equal(got, expected), "expected ", expected, ", got ", got);
}

TEST_CASE("Communicator: one process on its own is a run of one rank") {
  Communicator alone;
  CHECK(alone.rank() == 0);
  CHECK(alone.size() == 1);
  const at::Tensor values = at::arange(4, at::kFloat);
  const at::Tensor received = at::zeros({4});
  alone.exchange(received, {4}, values, {4}).wait();
  CHECK(at::equal(received, values));
  const at::Tensor all = at::zeros({1, 4});
  alone.gather(all, values).wait();
  CHECK(at::equal(all[0], values));
  alone.sum(values).wait();
  alone.broadcast(values).wait();
  CHECK(at::equal(values, at::arange(4, at::kFloat)));
  CHECK(alone.gather_texts("肺") == std::vector<std::string>{"肺"});
  CHECK_NOTHROW(alone.require_same("recipe", "a", ErrorKind::kInput));
  CHECK(alone.bytes_sent() == 0);
}

TEST_CASE("Communicator: exchange takes parts of any length to every rank") {
  run_thread_ranks(3, [](Communicator& ranks) {
    // Rank r sends p + 1 elements of value 10 r + p to rank p.
    const int rank = ranks.rank();
    std::vector<at::Tensor> parts, expected;
    for (int other = 0; other < 3; ++other) {
      parts.push_back(at::full({other + 1}, 10 * rank + other, at::kFloat));
      expected.push_back(at::full({rank + 1}, 10 * other + rank, at::kFloat));
    }
    const at::Tensor received = at::empty({3 * (rank + 1)});
    const std::vector<int64_t> counts(3, rank + 1);
    ranks.exchange(received, counts, at::cat(parts), {1, 2, 3}).wait();
    require_equal(received, at::cat(expected));
    require(ranks.bytes_sent() == 4 * (6 - (rank + 1)), "bytes sent");
  });
}

TEST_CASE("Communicator: a rank may have nothing to send") {
  run_thread_ranks(2, [](Communicator& ranks) {
    const bool sends = ranks.rank() == 0;
    const at::Tensor sent = sends ? at::arange(4, at::kFloat) : at::empty({0});
    const at::Tensor received = at::empty({2});
    const std::vector<int64_t> send_counts(2, sends ? 2 : 0);
    ranks.exchange(received, {2, 0}, sent, send_counts).wait();
    require_equal(received, at::arange(4, at::kFloat).narrow(0, 2 * ranks.rank(), 2));
  });
}

TEST_CASE("Communicator: gather, sum, broadcast and texts reach every rank") {
  const auto size = GENERATE(2, 4);
  run_thread_ranks(size, [size](Communicator& ranks) {
    const int rank = ranks.rank();
    const at::Tensor all = at::empty({size, 3});
    ranks.gather(all, at::full({3}, rank, at::kFloat)).wait();
    require_equal(all, at::arange(size, at::kFloat).unsqueeze(1).expand({size, 3}));
    at::Tensor values = at::full({5}, rank + 1, at::kFloat);
    ranks.sum(values).wait();
    require_equal(values, at::full({5}, size * (size + 1) / 2, at::kFloat));
    values.fill_(rank);
    ranks.broadcast(values).wait();
    require_equal(values, at::zeros({5}));
    const std::vector<std::string> texts = ranks.gather_texts(std::string(rank, 'x'));
    require(texts.size() == static_cast<size_t>(size) && texts.back() == std::string(size - 1, 'x'),
            "texts");
  });
}

TEST_CASE("Communicator: every rank is told which rank differs, and in what") {
  const std::set<std::string> ends = distinct_ends(3, [](Communicator& ranks) {
    ranks.require_same("tokenizer", "a", ErrorKind::kInput);
    ranks.require_same("recipe", ranks.rank() == 2 ? "b" : "a", ErrorKind::kInput);
  });
  REQUIRE(ends.size() == 1);
  CHECK(ends.begin()->starts_with("3 rank 2 ("));
  CHECK(ends.begin()->find("its recipe must be that of the 2 ranks that agree, got another") !=
        std::string::npos);
}

TEST_CASE("Communicator: a rank's own error ends the others with its kind and name") {
  const std::set<std::string> ends = distinct_ends(3, [](Communicator& ranks) {
    ranks.enter_step(7);
    if (ranks.rank() == 1) fail(ErrorKind::kEnvironment, "disk: is full");
    ranks.gather_numbers({1.0});
  });
  REQUIRE(ends.size() == 2);
  CHECK(ends.count("4 disk: is full") == 1);
  CHECK(ends.begin()->starts_with("4 "));
  CHECK(std::any_of(ends.begin(), ends.end(), [](const std::string& end) {
    return end.find("step 7: rank 1 (") != std::string::npos &&
           end.find("has ended with an error") != std::string::npos;
  }));
}

TEST_CASE("Communicator: a rank that does not come is named after the time-out") {
  CommunicatorOptions options;
  options.timeout = 1;
  std::mutex mutex;
  std::condition_variable told;
  bool ended = false;
  const std::set<std::string> ends = distinct_ends(
      2,
      [&](Communicator& ranks) {
        ranks.gather_numbers({1.0});
        ranks.enter_step(ranks.rank() == 0 ? 3 : 2);
        std::unique_lock lock(mutex);
        if (ranks.rank() == 1) told.wait(lock, [&] { return ended; });
        lock.unlock();
        try {
          ranks.gather_numbers({1.0});
        } catch (const Error&) {
          lock.lock();
          ended = true;
          told.notify_all();
          throw;
        }
      },
      options);
  REQUIRE(ends.size() == 1);
  CHECK(ends.begin()->starts_with("5 step 3: rank 1 ("));
  CHECK(ends.begin()->find("did not answer within 1 s: it is alive, but still at step 2") !=
        std::string::npos);
}

TEST_CASE("Communicator: a closed connection is no reason to die, a program's handler stays") {
  const auto handler = [] {
    struct sigaction action = {};
    sigaction(SIGPIPE, nullptr, &action);
    return action.sa_handler;
  };
  const auto meet = [] { run_thread_ranks(2, [](Communicator&) {}); };
  const auto own = +[](int) {};
  std::signal(SIGPIPE, SIG_DFL);
  meet();
  CHECK(handler() == SIG_IGN);
  std::signal(SIGPIPE, own);
  meet();
  CHECK(handler() == own);
  std::signal(SIGPIPE, SIG_IGN);
}

TEST_CASE("Communicator: of two ranks that differ none is blamed") {
  const std::set<std::string> ends = distinct_ends(2, [](Communicator& ranks) {
    ranks.require_same("data", ranks.rank() == 0 ? "a" : "b", ErrorKind::kDivergence);
  });
  REQUIRE(ends.size() == 1);
  CHECK(ends.begin()->starts_with("7 rank 1 ("));
  CHECK(ends.begin()->find(" and rank 0 (") != std::string::npos);
  CHECK(ends.begin()->find("must have the same data, got different ones") != std::string::npos);
}

TEST_CASE("Communicator: many verbs under way fail by one search for the culprit") {
  CommunicatorOptions options;
  options.timeout = 1;
  const auto start = std::chrono::steady_clock::now();
  std::mutex mutex;
  std::condition_variable told;
  bool ended = false;
  const std::set<std::string> ends = distinct_ends(
      2,
      [&](Communicator& ranks) {
        ranks.gather_numbers({1.0});
        std::unique_lock lock(mutex);
        if (ranks.rank() == 1) {
          told.wait(lock, [&] { return ended; });
          return;
        }
        lock.unlock();
        const at::Tensor sent = at::zeros({2, 8});
        std::vector<Transfer> transfers;
        try {
          for (int i = 0; i < 30; ++i) {
            transfers.push_back(ranks.exchange(at::empty({16}), {8, 8}, sent.view({-1}), {8, 8}));
          }
          for (Transfer& transfer : transfers) transfer.wait();
        } catch (const Error&) {
          transfers.clear();
          lock.lock();
          ended = true;
          told.notify_all();
          throw;
        }
      },
      options);
  CHECK(ends.size() == 1);
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  CHECK(seconds.count() < 10);  // 30 searches would take 20 s
}

/// The exit code and the message that connecting ends with.
std::string refusal(const RankEnvironment& environment, const CommunicatorOptions& options) {
  try {
    const Communicator ranks(environment, options);
  } catch (const Error& error) {
    return concat(error.exit_code(), ' ', error.what());
  }
  return "connected";
}

TEST_CASE("Communicator: what hinders ranks from meeting is said in one line") {
  FileDescriptor taken = listen_at("127.0.0.1", 0);
  CommunicatorOptions options;
  options.start_timeout = 0.5;
  RankEnvironment environment{.rank = 0, .size = 2, .address = "127.0.0.1", .port = port_of(taken)};
  CHECK(refusal(environment, options) ==
        concat("4 127.0.0.1 port ", environment.port,
               ": must be free to be listened at: Address already in use"));
  environment.address = "no-such-host.invalid";
  CHECK(refusal(environment, options)
            .starts_with("5 no-such-host.invalid: must be a host that can be found, got "));
  environment = {.rank = 0, .size = 3, .address = "127.0.0.1", .port = 0};
  environment.listening_socket = listen_at("127.0.0.1", 0).release();
  CHECK(refusal(environment, options) ==
        "5 all 3 ranks must come within 0.5 s (distributed.start_timeout), got none of rank 1, 2; "
        "they meet at 127.0.0.1, which must be an address that all reach (distributed.interface)");
  options.interface = "no0";
  CHECK(refusal(environment, options)
            .starts_with("3 distributed.interface: must be an interface of this machine (lo "
                         "127.0.0.1"));
}

/// Sockets of this process that listen at all addresses of the machine.
int listening_everywhere() {
  std::set<std::string> own;  // inodes
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
    std::error_code closed;
    const std::string target = std::filesystem::read_symlink(entry, closed);
    if (target.starts_with("socket:[")) own.insert(target.substr(8, target.size() - 9));
  }
  int count = 0;
  for (const char* table : {"/proc/self/net/tcp", "/proc/self/net/tcp6"}) {
    std::ifstream file(table);
    for (std::string line; std::getline(file, line);) {
      std::istringstream words(line);
      std::string slot, local, remote, state, queues, timer, retransmits, user, timeout, inode;
      words >> slot >> local >> remote >> state >> queues >> timer >> retransmits >> user >>
          timeout >> inode;
      const std::string address = local.substr(0, local.find(':'));
      const bool everywhere = address.find_first_not_of('0') == std::string::npos;
      if (state == "0A" && everywhere && own.contains(inode)) ++count;
    }
  }
  return count;
}

TEST_CASE("Communicator: nothing listens at every address") {
  run_thread_ranks(2, [](Communicator& ranks) {
    ranks.gather_numbers({1.0});
    if (ranks.rank() == 0) require(listening_everywhere() == 0, "a socket listens everywhere");
    ranks.gather_numbers({1.0});
  });
}

}  // namespace
}  // namespace radgpt
