#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <string>

#include "libradgpt/base/files.h"

namespace radgpt {

/// A child process that stops before and after each of its system calls that deal with files, and
/// may find there what disks and kernels do now and then. Only on x86-64, only where tracing is
/// allowed.
class TracedProcess {
 public:
  /// Work of the child, given a function that reports a line to this process. Reports are no calls
  /// in the sense below. Returns the exit code.
  using Report = std::function<void(const std::string&)>;
  using Work = std::function<int(const Report&)>;

  explicit TracedProcess(const Work& work);
  ~TracedProcess();  ///< kills it if it still runs
  TracedProcess(const TracedProcess&) = delete;
  TracedProcess& operator=(const TracedProcess&) = delete;

  /// Why nothing can be traced here, or an empty text.
  static std::string obstacle();

  /// Goes on to the next call, before it is done; false at the end of the process. A call that was
  /// begun is finished first.
  bool next();
  /// Does the call.
  void finish();

  // In place of `finish`, or before it:
  void kill();  ///< SIGKILL
  void fail(
      int error);  ///< the call is not done and gives this error; a close is done all the same
  void shorten();  ///< a read or write gets at most half of the bytes, at least one
  void lose();     ///< the call is not done and counts as if it were

  const char* call() const;  ///< its name
  bool is_read() const;
  bool is_write() const;
  std::string path() const;  ///< of the descriptor that an fsync is given

  std::string reports();                        ///< all so far
  int exit_code() const { return exit_code_; }  ///< 128 + signal if a signal ended it

 private:
  bool stop_at_call();
  void skip_with(int64_t result);

  pid_t process_ = -1;
  FileDescriptor reports_;
  int report_descriptor_ = -1;
  std::string reported_;
  bool inside_ = false;
  int exit_code_ = -1;
};

}  // namespace radgpt
