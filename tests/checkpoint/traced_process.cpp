#include "tests/checkpoint/traced_process.h"

#include <fcntl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <filesystem>
#include <iterator>
#include <stdexcept>

#ifdef __x86_64__
#include <sys/user.h>
#endif

namespace radgpt {

#ifdef __x86_64__

namespace {

struct FileCall {
  int64_t number;
  const char* name;
};

constexpr FileCall kFileCalls[] = {{SYS_open, "open"},           {SYS_openat, "openat"},
                                   {SYS_close, "close"},         {SYS_read, "read"},
                                   {SYS_pread64, "pread64"},     {SYS_write, "write"},
                                   {SYS_pwrite64, "pwrite64"},   {SYS_writev, "writev"},
                                   {SYS_lseek, "lseek"},         {SYS_fsync, "fsync"},
                                   {SYS_fdatasync, "fdatasync"}, {SYS_ftruncate, "ftruncate"},
                                   {SYS_flock, "flock"},         {SYS_fcntl, "fcntl"},
                                   {SYS_access, "access"},       {SYS_faccessat, "faccessat"},
                                   {SYS_stat, "stat"},           {SYS_fstat, "fstat"},
                                   {SYS_lstat, "lstat"},         {SYS_newfstatat, "newfstatat"},
                                   {SYS_statx, "statx"},         {SYS_statfs, "statfs"},
                                   {SYS_fstatfs, "fstatfs"},     {SYS_getdents64, "getdents64"},
                                   {SYS_mkdir, "mkdir"},         {SYS_mkdirat, "mkdirat"},
                                   {SYS_rmdir, "rmdir"},         {SYS_unlink, "unlink"},
                                   {SYS_unlinkat, "unlinkat"},   {SYS_rename, "rename"},
                                   {SYS_renameat, "renameat"},   {SYS_renameat2, "renameat2"}};

const FileCall* find_call(uint64_t number) {
  const auto* found = std::find_if(
      std::begin(kFileCalls), std::end(kFileCalls),
      [&](const FileCall& call) { return call.number == static_cast<int64_t>(number); });
  return found == std::end(kFileCalls) ? nullptr : found;
}

user_regs_struct registers_of(pid_t process) {
  user_regs_struct registers{};
  if (ptrace(PTRACE_GETREGS, process, nullptr, &registers) != 0) {
    throw std::runtime_error("no registers of the traced process");
  }
  return registers;
}

void set_registers(pid_t process, user_regs_struct registers) {
  if (ptrace(PTRACE_SETREGS, process, nullptr, &registers) != 0) {
    throw std::runtime_error("registers of the traced process cannot be set");
  }
}

constexpr int kNotTraced = 125;

[[noreturn]] void become_traced(const TracedProcess::Work& work, int reports) {
  if (ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) != 0) _exit(kNotTraced);
  raise(SIGSTOP);
  _exit(work([reports](const std::string& line) {
    const std::string text = line + "\n";
    if (write(reports, text.data(), text.size()) < 0) _exit(126);
  }));
}

}  // namespace

std::string TracedProcess::obstacle() {
  const pid_t process = fork();
  if (process == 0) {
    _exit(ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) == 0 ? 0 : kNotTraced);
  }
  int status = 0;
  waitpid(process, &status, 0);
  return status == 0 ? "" : "no right to trace a process";
}

TracedProcess::TracedProcess(const Work& work) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) throw std::runtime_error("no pipe");
  reports_ = FileDescriptor(ends[0]);
  fcntl(ends[0], F_SETFL, O_NONBLOCK);
  const FileDescriptor writer(ends[1]);
  report_descriptor_ = ends[1];
  process_ = fork();
  if (process_ < 0) throw std::runtime_error("no new process");
  if (process_ == 0) become_traced(work, ends[1]);
  int status = 0;
  waitpid(process_, &status, 0);
  if (!WIFSTOPPED(status)) throw std::runtime_error("the process cannot be traced");
  ptrace(PTRACE_SETOPTIONS, process_, nullptr, PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL);
}

/// To the next stop at the begin or end of any system call; false at the end of the process.
bool TracedProcess::stop_at_call() {
  int signal = 0;
  while (process_ > 0) {
    ptrace(PTRACE_SYSCALL, process_, nullptr, signal);
    int status = 0;
    waitpid(process_, &status, 0);
    if (!WIFSTOPPED(status)) {
      exit_code_ = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
      process_ = -1;
    } else if (WSTOPSIG(status) == (SIGTRAP | 0x80)) {
      return true;
    } else {
      signal = WSTOPSIG(status);
    }
  }
  return false;
}

bool TracedProcess::next() {
  if (inside_) finish();
  while (stop_at_call()) {
    const user_regs_struct registers = registers_of(process_);
    const bool report =
        registers.orig_rax == SYS_write && static_cast<int>(registers.rdi) == report_descriptor_;
    if (find_call(registers.orig_rax) != nullptr && !report) {
      inside_ = true;
      return true;
    }
    if (!stop_at_call()) return false;
  }
  return false;
}

void TracedProcess::finish() {
  inside_ = false;
  stop_at_call();
}

void TracedProcess::kill() {
  inside_ = false;
  ::kill(process_, SIGKILL);
  stop_at_call();
}

void TracedProcess::skip_with(int64_t result) {
  user_regs_struct registers = registers_of(process_);
  registers.orig_rax = static_cast<uint64_t>(-1);
  set_registers(process_, registers);
  finish();
  registers = registers_of(process_);
  registers.rax = static_cast<uint64_t>(result);
  set_registers(process_, registers);
}

void TracedProcess::fail(int error) {
  if (registers_of(process_).orig_rax != SYS_close) return skip_with(-error);
  finish();
  user_regs_struct registers = registers_of(process_);
  registers.rax = static_cast<uint64_t>(-error);
  set_registers(process_, registers);
}

void TracedProcess::shorten() {
  user_regs_struct registers = registers_of(process_);
  if (registers.rdx > 1) registers.rdx /= 2;
  set_registers(process_, registers);
  finish();
}

void TracedProcess::lose() {
  skip_with(is_write() ? static_cast<int64_t>(registers_of(process_).rdx) : 0);
}

const char* TracedProcess::call() const { return find_call(registers_of(process_).orig_rax)->name; }

bool TracedProcess::is_read() const {
  const uint64_t number = registers_of(process_).orig_rax;
  return number == SYS_read || number == SYS_pread64;
}

bool TracedProcess::is_write() const {
  const uint64_t number = registers_of(process_).orig_rax;
  return number == SYS_write || number == SYS_pwrite64;
}

std::string TracedProcess::path() const {
  const std::string link =
      "/proc/" + std::to_string(process_) + "/fd/" + std::to_string(registers_of(process_).rdi);
  std::error_code error;
  return std::filesystem::read_symlink(link, error).string();
}

#else

std::string TracedProcess::obstacle() { return "tracing knows x86-64 alone"; }
TracedProcess::TracedProcess(const Work&) { throw std::runtime_error(obstacle()); }
bool TracedProcess::next() { return false; }
void TracedProcess::finish() {}
void TracedProcess::kill() {}
void TracedProcess::fail(int) {}
void TracedProcess::shorten() {}
void TracedProcess::lose() {}
const char* TracedProcess::call() const { return ""; }
bool TracedProcess::is_read() const { return false; }
bool TracedProcess::is_write() const { return false; }
std::string TracedProcess::path() const { return ""; }

#endif

TracedProcess::~TracedProcess() {
  if (process_ < 0) return;
  ::kill(process_, SIGKILL);
  waitpid(process_, nullptr, 0);
}

std::string TracedProcess::reports() {
  char bytes[4096];
  for (ssize_t count = 1; count > 0;) {
    count = read(reports_.get(), bytes, sizeof bytes);
    if (count > 0) reported_.append(bytes, static_cast<size_t>(count));
  }
  return reported_;
}

}  // namespace radgpt
