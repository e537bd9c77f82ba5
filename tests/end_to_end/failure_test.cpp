#include <signal.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <iostream>

#include "libradgpt/base/error.h"
#include "tests/catch.h"
#include "tests/end_to_end/rank_processes.h"
#include "tests/end_to_end/small_job.h"

namespace radgpt {
namespace {

using Clock = std::chrono::steady_clock;

constexpr double kStart = 120;  // seconds, for a busy machine to bring a run to its first steps

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

/// Steps that a run has recorded so far.
int64_t recorded_steps(const TemporaryFolder& folder) {
  std::ifstream file(folder.file("run/run.jsonl"));
  int64_t steps = 0;
  for (std::string line; std::getline(file, line);) {
    steps += line.find("\"kind\":\"step\"") != std::string::npos ? 1 : 0;
  }
  return steps;
}

/// A run that goes on for longer than any test of this file.
std::vector<std::string> long_run(const TemporaryFolder& folder, double timeout,
                                  int64_t save_every = 50) {
  return arguments_of(
      "train", folder,
      {"train.steps=100000", "train.packs_per_step=4", "train.evaluate_every=0",
       concat("train.save_every=", save_every), concat("distributed.timeout=", timeout)});
}

/// The one line of a rank that ends with an error.
std::string error_line(const RankProcesses& ranks, int rank) {
  const std::string errors = ranks.errors(rank);
  const size_t at = errors.find("error: ");
  return at == std::string::npos ? "" : errors.substr(at);
}

void check_lines(const RankProcesses& ranks, int victim) {
  for (int rank = 0; rank < ranks.size(); ++rank) {
    if (rank == victim) continue;
    const std::string line = error_line(ranks, rank);
    INFO("rank " << rank << " of " << ranks.size() << ", victim " << victim << ": " << line);
    CHECK(ranks.exit_code(rank) == 5);
    CHECK(line.starts_with(concat("error: rank ", rank, " (")));
    const size_t step = line.find("): step ");
    REQUIRE(step != std::string::npos);
    CHECK(line.find(concat(": rank ", victim, " ("), step) != std::string::npos);
    CHECK(std::count(line.begin(), line.end(), '\n') == 1);
  }
}

TEST_CASE("Failure: a killed rank ends all others with 5 within a second, and is named") {
  const int64_t save_every = GENERATE(50, 1);
  for (const int size : {2, 4}) {
    for (const int victim : {0, size - 1}) {
      const TemporaryFolder folder;
      write_adapter_recipe(folder, small_reports());
      RankProcesses ranks(size, long_run(folder, 30, save_every));
      REQUIRE(ranks.wait_until([&] { return recorded_steps(folder) >= 3; }, kStart));
      const Clock::time_point start = Clock::now();
      ranks.send(victim, SIGKILL);
      CHECK(ranks.wait_for_end(10));
      const double seconds = seconds_since(start);
      std::cout << "killed rank " << victim << " of " << size << ", a save every " << save_every
                << " steps: all have ended after " << seconds << " s\n";
      CHECK(seconds < 1.0);
      check_lines(ranks, victim);
    }
  }
}

TEST_CASE("Failure: a stopped rank ends all others within its time-out and two seconds") {
  constexpr double kTimeout = 3;
  const int victim = GENERATE(0, 1, 2);
  // After a save, ranks that show signs of life are waited for longer than that.
  const int64_t save_every = GENERATE(50, 1);
  const TemporaryFolder folder;
  write_adapter_recipe(folder, small_reports());
  RankProcesses ranks(3, long_run(folder, kTimeout, save_every));
  REQUIRE(ranks.wait_until([&] { return recorded_steps(folder) >= 3; }, kStart));
  const Clock::time_point start = Clock::now();
  ranks.send(victim, SIGSTOP);
  CHECK(ranks.wait_for_end(30, victim));
  const double seconds = seconds_since(start);
  std::cout << "stopped rank " << victim << " of 3, a save every " << save_every
            << " steps, time-out " << kTimeout << " s: the others have ended after " << seconds
            << " s\n";
  CHECK(seconds < kTimeout + 2);
  check_lines(ranks, victim);
  ranks.send(victim, SIGCONT);
  CHECK(ranks.wait_for_end(kTimeout + 5));
  CHECK(ranks.exit_code(victim) == 5);
}

TEST_CASE("Failure: SIGTERM to one rank saves and ends all of them") {
  const TemporaryFolder folder;
  write_adapter_recipe(folder, small_reports());
  RankProcesses ranks(2, long_run(folder, 30));
  REQUIRE(ranks.wait_until([&] { return recorded_steps(folder) >= 3; }, kStart));
  ranks.send(1, SIGTERM);
  REQUIRE(ranks.wait_for_end(30));
  CHECK(ranks.exit_code(1) == 128 + SIGTERM);
  CHECK(ranks.exit_code(0) == 128 + SIGTERM);
  const int64_t steps = recorded_steps(folder);
  CHECK(std::filesystem::exists(folder.file(concat("run/checkpoints/step-", steps))));
  CHECK(!std::filesystem::exists(folder.file("run/adapter")));
}

TEST_CASE("Failure: ranks with different recipes refuse to start, and say which differs") {
  const TemporaryFolder folder;
  write_adapter_recipe(folder, small_reports());
  RankProcesses ranks({arguments_of("train", folder), arguments_of("train", folder),
                       arguments_of("train", folder, {"optim.learning_rate=0.5"})});
  REQUIRE(ranks.wait_for_end(kStart));
  for (int rank = 0; rank < 3; ++rank) {
    CHECK(ranks.exit_code(rank) == 3);
    CHECK(error_line(ranks, rank).find(": its recipe must be that of the 2 ranks that agree") !=
          std::string::npos);
    CHECK(error_line(ranks, rank).find(": rank 2 (") != std::string::npos);
  }
  CHECK(!std::filesystem::exists(folder.file("run")));
}

TEST_CASE("Failure: an error of one rank's own ends the others with its code") {
  const TemporaryFolder folder;
  write_adapter_recipe(folder, small_reports());
  std::filesystem::create_directories(folder.file("run"));
  folder.write("run/notes.txt", "of somebody else");
  RankProcesses ranks(2, arguments_of("train", folder));
  REQUIRE(ranks.wait_for_end(kStart));
  CHECK(ranks.exit_code(0) == 3);
  CHECK(ranks.exit_code(1) == 3);
  CHECK(error_line(ranks, 0).find("output.folder: must be empty or new") != std::string::npos);
  CHECK(error_line(ranks, 1).find("rank 0 (") != std::string::npos);
}

TEST_CASE("Failure: a result that cannot be written ends all with its code") {
  const TemporaryFolder folder;
  write_adapter_recipe(folder, small_reports());
  RankProcesses ranks(2, arguments_of("train", folder, {"train.steps=200"}));
  REQUIRE(ranks.wait_until([&] { return recorded_steps(folder) >= 1; }, kStart));
  folder.write("run/adapter", "in the way of the folder");
  REQUIRE(ranks.wait_for_end(kStart));
  CHECK(ranks.exit_code(0) == 4);
  CHECK(ranks.exit_code(1) == 4);
  CHECK(error_line(ranks, 0).find("run/adapter") != std::string::npos);
  CHECK(error_line(ranks, 1).find("rank 0 (") != std::string::npos);
}

}  // namespace
}  // namespace radgpt
