#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "libradgpt/base/files.h"
#include "tests/base/temporary_folder.h"

namespace radgpt {

/// In a child: the executable `radgpt` in the root of the project. Never returns.
[[noreturn]] void execute_radgpt(const std::vector<std::string>& arguments);

struct ProcessResult {
  int exit_code = -1;  ///< 128 + signal if a signal ended it
  std::string output;
  std::string errors;
  double seconds = 0;  ///< of processor time, which the machine's load does not change
};

/// The executable `radgpt` at work in the root of the project. Its stderr comes through a pipe that
/// holds a single write, so the process waits for its reader and is never further than the line
/// behind the one read last: a signal sent then arrives where the test wants it.
class RunningRadgpt {
 public:
  explicit RunningRadgpt(const std::vector<std::string>& arguments);
  ~RunningRadgpt();  ///< kills it if it still runs
  RunningRadgpt(const RunningRadgpt&) = delete;
  RunningRadgpt& operator=(const RunningRadgpt&) = delete;

  /// Reads stderr until `text` stands in it; false if it ends without.
  bool wait_for(const std::string& text);
  void send(int signal) const;
  pid_t process() const { return process_; }
  /// Reads stderr to its end and waits for the end of the process.
  ProcessResult finish();

 private:
  bool read_errors();

  TemporaryFolder folder_;  ///< of stdout
  pid_t process_ = -1;      ///< -1 once it has been waited for
  FileDescriptor pipe_;
  std::string errors_;
};

/// Runs the executable `radgpt` with arguments and waits for its end.
ProcessResult run_radgpt(const std::vector<std::string>& arguments);

}  // namespace radgpt
