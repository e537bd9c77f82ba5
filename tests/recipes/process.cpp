#include "tests/recipes/process.h"

#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <stdexcept>

namespace radgpt {
namespace {

double seconds_of(const timeval& time) {
  return static_cast<double>(time.tv_sec) + 1e-6 * static_cast<double>(time.tv_usec);
}

/// In the child: stdout into a file, stderr into the pipe, then the executable. Never returns.
[[noreturn]] void become_radgpt(const std::vector<std::string>& arguments,
                                const std::string& output_path, int errors) {
  const int output = open(output_path.c_str(), O_CREAT | O_WRONLY, 0600);
  if (output < 0 || dup2(output, 1) < 0 || dup2(errors, 2) < 0) _exit(126);
  execute_radgpt(arguments);
}

}  // namespace

void execute_radgpt(const std::vector<std::string>& arguments) {
  if (chdir(RADGPT_SOURCE_DIR) != 0) _exit(126);
  std::vector<char*> pointers = {const_cast<char*>("radgpt")};
  for (const std::string& argument : arguments) {
    pointers.push_back(const_cast<char*>(argument.c_str()));
  }
  pointers.push_back(nullptr);
  execv(RADGPT_EXECUTABLE, pointers.data());
  _exit(127);
}

RunningRadgpt::RunningRadgpt(const std::vector<std::string>& arguments) {
  int ends[2];
  if (pipe2(ends, O_DIRECT | O_CLOEXEC) != 0) throw std::runtime_error("no pipe");
  pipe_ = FileDescriptor(ends[0]);
  const FileDescriptor errors(ends[1]);
  // With O_DIRECT each write takes a page of its own, and this leaves one page.
  if (fcntl(errors.get(), F_SETPIPE_SZ, 1) < 0) throw std::runtime_error("no pipe of one page");
  process_ = fork();
  if (process_ < 0) throw std::runtime_error("no new process");
  if (process_ == 0) become_radgpt(arguments, folder_.file("output"), errors.get());
}

RunningRadgpt::~RunningRadgpt() {
  if (process_ < 0) return;
  kill(process_, SIGKILL);
  waitpid(process_, nullptr, 0);
}

/// One write of the process; false at the end of its stderr.
bool RunningRadgpt::read_errors() {
  char bytes[PIPE_BUF];
  ssize_t count = 0;
  do {
    count = read(pipe_.get(), bytes, sizeof bytes);
  } while (count < 0 && errno == EINTR);
  if (count > 0) errors_.append(bytes, static_cast<size_t>(count));
  return count > 0;
}

bool RunningRadgpt::wait_for(const std::string& text) {
  while (errors_.find(text) == std::string::npos) {
    if (!read_errors()) return false;
  }
  return true;
}

void RunningRadgpt::send(int signal) const { kill(process_, signal); }

ProcessResult RunningRadgpt::finish() {
  while (read_errors()) {
  }
  int status = 0;
  rusage usage = {};
  wait4(process_, &status, 0, &usage);
  process_ = -1;
  ProcessResult result;
  result.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  result.seconds = seconds_of(usage.ru_utime) + seconds_of(usage.ru_stime);
  result.output = folder_.read("output");
  result.errors = errors_;
  return result;
}

ProcessResult run_radgpt(const std::vector<std::string>& arguments) {
  return RunningRadgpt(arguments).finish();
}

}  // namespace radgpt
