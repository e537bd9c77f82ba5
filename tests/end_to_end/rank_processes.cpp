#include "tests/end_to_end/rank_processes.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>

#include "libradgpt/base/error.h"
#include "libradgpt/distributed/network_address.h"
#include "tests/recipes/process.h"

namespace radgpt {
namespace {

using Clock = std::chrono::steady_clock;

/// In the child: output into files, variables, then the executable. Never returns.
[[noreturn]] void become_rank(const std::vector<std::string>& arguments,
                              const std::vector<std::pair<std::string, std::string>>& variables,
                              const std::string& errors) {
  const int file = open(errors.c_str(), O_CREAT | O_WRONLY | O_TRUNC, 0600);
  const int nothing = open("/dev/null", O_WRONLY);
  if (file < 0 || dup2(nothing, 1) < 0 || dup2(file, 2) < 0) _exit(126);
  for (const auto& [name, value] : variables) setenv(name.c_str(), value.c_str(), 1);
  execute_radgpt(arguments);
}

}  // namespace

RankProcesses::RankProcesses(int size, const std::vector<std::string>& arguments)
    : RankProcesses(std::vector<std::vector<std::string>>(static_cast<size_t>(size), arguments)) {}

RankProcesses::RankProcesses(const std::vector<std::vector<std::string>>& arguments) {
  const auto size = static_cast<int>(arguments.size());
  const uint16_t port = port_of(listen_at("127.0.0.1", 0));
  for (int rank = 0; rank < size; ++rank) {
    const std::vector<std::pair<std::string, std::string>> variables = {
        {"RANK", std::to_string(rank)},
        {"LOCAL_RANK", std::to_string(rank)},
        {"WORLD_SIZE", std::to_string(size)},
        {"MASTER_ADDR", "127.0.0.1"},
        {"MASTER_PORT", std::to_string(port)}};
    Rank started;
    started.process = fork();
    require(started.process >= 0, "no new process");
    if (started.process == 0) {
      become_rank(arguments[static_cast<size_t>(rank)], variables,
                  folder_.file(concat("errors-", rank)));
    }
    started.handle = FileDescriptor(static_cast<int>(syscall(SYS_pidfd_open, started.process, 0)));
    require(started.handle.get() >= 0, "no handle of a process");
    ranks_.push_back(std::move(started));
  }
}

RankProcesses::~RankProcesses() {
  for (const Rank& rank : ranks_) {
    if (rank.exit_code >= 0) continue;
    kill(rank.process, SIGKILL);
    waitpid(rank.process, nullptr, 0);
  }
}

void RankProcesses::send(int rank, int signal) const {
  const Rank& to = ranks_.at(static_cast<size_t>(rank));
  if (to.exit_code < 0) kill(to.process, signal);
}

/// Until one more has ended, or for `seconds`.
bool RankProcesses::wait_some(double seconds) {
  std::vector<pollfd> handles;
  for (const Rank& rank : ranks_) {
    handles.push_back({rank.exit_code < 0 ? rank.handle.get() : -1, POLLIN, 0});
  }
  poll(handles.data(), handles.size(), std::max(0, static_cast<int>(seconds * 1000)));
  bool one = false;
  for (size_t i = 0; i < ranks_.size(); ++i) {
    if ((handles[i].revents & POLLIN) == 0) continue;
    int status = 0;
    waitpid(ranks_[i].process, &status, 0);
    ranks_[i].exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    one = true;
  }
  return one;
}

bool RankProcesses::has_ended(int spared) const {
  for (int rank = 0; rank < size(); ++rank) {
    if (rank != spared && exit_code(rank) < 0) return false;
  }
  return true;
}

bool RankProcesses::wait_for_end(double seconds, int spared) {
  const auto end = Clock::now() + std::chrono::duration<double>(seconds);
  while (!has_ended(spared)) {
    const double left = std::chrono::duration<double>(end - Clock::now()).count();
    if (left <= 0) return false;
    wait_some(left);
  }
  return true;
}

bool RankProcesses::wait_until(const std::function<bool()>& holds, double seconds) {
  const auto end = Clock::now() + std::chrono::duration<double>(seconds);
  constexpr double kPause = 0.002;
  while (!holds()) {
    if (Clock::now() > end || wait_some(kPause)) return holds();
  }
  return true;
}

}  // namespace radgpt
