#pragma once

#include <sys/types.h>

#include <functional>
#include <string>
#include <vector>

#include "libradgpt/base/files.h"
#include "tests/base/temporary_folder.h"

namespace radgpt {

/// Processes `radgpt ARGUMENTS` that are the ranks of one run on this machine, as a launcher's
/// variables say. What they write goes into files, so that nobody waits for a reader.
class RankProcesses {
 public:
  RankProcesses(int size, const std::vector<std::string>& arguments);
  /// Each rank with arguments of its own.
  explicit RankProcesses(const std::vector<std::vector<std::string>>& arguments);
  ~RankProcesses();  ///< kills those that are left
  RankProcesses(const RankProcesses&) = delete;
  RankProcesses& operator=(const RankProcesses&) = delete;

  int size() const { return static_cast<int>(ranks_.size()); }
  void send(int rank, int signal) const;
  /// Waits until all ranks but `spared` have ended; false after `seconds`.
  bool wait_for_end(double seconds, int spared = -1);
  /// Waits until `holds` or one of them has ended; false after `seconds`.
  bool wait_until(const std::function<bool()>& holds, double seconds);
  /// 128 + signal if a signal ended it; -1 while it runs.
  int exit_code(int rank) const { return ranks_.at(static_cast<size_t>(rank)).exit_code; }
  std::string errors(int rank) const { return folder_.read("errors-" + std::to_string(rank)); }

 private:
  struct Rank {
    pid_t process = -1;
    FileDescriptor handle;  ///< readable once it has ended
    int exit_code = -1;
  };
  bool has_ended(int spared) const;
  bool wait_some(double seconds);

  TemporaryFolder folder_;
  std::vector<Rank> ranks_;
};

}  // namespace radgpt
