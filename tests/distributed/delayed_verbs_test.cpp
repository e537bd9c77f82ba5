// Verbs that some ranks come to late, because they read or write files.

#include <torch/types.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "libradgpt/distributed/communicator.h"
#include "tests/catch.h"
#include "tests/distributed/thread_ranks.h"

namespace radgpt {
namespace {

/// Holds rank 1 back.
void come_late(Communicator& ranks, int seconds) {
  if (ranks.rank() != 1) return;
  std::mutex mutex;
  std::condition_variable never;
  std::unique_lock lock(mutex);
  never.wait_for(lock, std::chrono::seconds(seconds));
}

TEST_CASE("Delayed verbs: the first verb, and one after a delay that was told, may take longer") {
  CommunicatorOptions options;
  options.timeout = 0.3;
  options.start_timeout = 60;
  const std::set<std::string> ends = distinct_ends(
      2,
      [](Communicator& ranks) {
        come_late(ranks, 1);
        ranks.gather_numbers({1.0});
        ranks.gather_numbers({1.0});
        ranks.expect_delay();
        come_late(ranks, 1);
        ranks.gather_numbers({1.0});
      },
      options);
  CHECK(ends.empty());
}

TEST_CASE("Delayed verbs: verbs under way with a delayed one are not late for it") {
  CommunicatorOptions options;
  options.timeout = 0.3;
  options.start_timeout = 60;
  const std::set<std::string> ends = distinct_ends(
      2,
      [](Communicator& ranks) {
        come_late(ranks, 1);
        const at::Tensor sent = at::zeros({16});
        std::vector<Transfer> transfers;
        for (int i = 0; i < 3; ++i) {
          transfers.push_back(ranks.exchange(at::empty({16}), {8, 8}, sent, {8, 8}));
        }
        for (Transfer& transfer : transfers) transfer.wait();
      },
      options);
  CHECK(ends.empty());
}

TEST_CASE("Delayed verbs: another rank's end is heard while a delayed verb waits") {
  CommunicatorOptions options;
  options.start_timeout = 60;
  const auto start = std::chrono::steady_clock::now();
  std::mutex mutex;
  std::condition_variable told;
  int ended = 0;
  const std::set<std::string> ends = distinct_ends(
      3,
      [&](Communicator& ranks) {
        if (ranks.rank() == 1) {  // stays, so that no broken connection tells the others
          ranks.end_with(Error(ErrorKind::kEnvironment, "disk: is full"));
          std::unique_lock lock(mutex);
          told.wait(lock, [&] { return ended == 2; });
          return;
        }
        try {
          ranks.gather_numbers({1.0});
        } catch (const Error&) {
          const std::lock_guard lock(mutex);
          ++ended;
          told.notify_all();
          throw;
        }
      },
      options);
  REQUIRE(ends.size() == 1);
  CHECK(ends.begin()->starts_with("4 step 0: rank 1 ("));
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  CHECK(seconds.count() < 30);
}

TEST_CASE("Delayed verbs: all wait for one that shows signs of life, however long") {
  CommunicatorOptions options;
  options.timeout = options.start_timeout = 1;
  const std::set<std::string> ends = distinct_ends(
      2,
      [](Communicator& ranks) {
        ranks.gather_numbers({1.0});
        come_late(ranks, 3);
        ranks.await_all();
      },
      options);
  CHECK(ends.empty());
}

TEST_CASE("Delayed verbs: who is undisturbed hears of a failure at the next verb") {
  const bool is_undisturbed = GENERATE(false, true);
  std::mutex mutex;
  std::condition_variable told;
  int calls = 0;
  CommunicatorOptions options;
  options.on_failure = [&](const Error&) {
    const std::lock_guard lock(mutex);
    ++calls;
    told.notify_all();
  };
  const std::set<std::string> ends = distinct_ends(
      2,
      [&](Communicator& ranks) {
        ranks.gather_numbers({1.0});
        if (ranks.rank() == 1) fail(ErrorKind::kEnvironment, "disk: is full");
        {
          std::optional<Undisturbed> writing;
          if (is_undisturbed) writing.emplace(ranks);
          std::unique_lock lock(mutex);
          told.wait_for(lock, std::chrono::seconds(3), [&] { return calls > 0; });
        }
        ranks.await_all();
      },
      options);
  CHECK(calls == (is_undisturbed ? 0 : 1));
  CHECK(ends.size() == 2);
  CHECK(ends.begin()->starts_with("4 "));
  CHECK(ends.rbegin()->starts_with("4 "));
}

}  // namespace
}  // namespace radgpt
