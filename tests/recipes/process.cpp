#include "tests/recipes/process.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <stdexcept>

namespace radgpt {
namespace {

std::string text_of(const std::filesystem::path& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

double seconds_of(const timeval& time) {
  return static_cast<double>(time.tv_sec) + 1e-6 * static_cast<double>(time.tv_usec);
}

/// In the child: stdout and stderr into files, then the executable. Never returns.
[[noreturn]] void become_radgpt(const std::vector<std::string>& arguments,
                                const std::filesystem::path& folder) {
  const int output = open((folder / "output").c_str(), O_CREAT | O_WRONLY, 0600);
  const int errors = open((folder / "errors").c_str(), O_CREAT | O_WRONLY, 0600);
  if (output < 0 || errors < 0 || dup2(output, 1) < 0 || dup2(errors, 2) < 0) _exit(126);
  if (chdir(RADGPT_SOURCE_DIR) != 0) _exit(126);
  std::vector<char*> pointers = {const_cast<char*>("radgpt")};
  for (const std::string& argument : arguments) {
    pointers.push_back(const_cast<char*>(argument.c_str()));
  }
  pointers.push_back(nullptr);
  execv(RADGPT_EXECUTABLE, pointers.data());
  _exit(127);
}

}  // namespace

ProcessResult run_radgpt(const std::vector<std::string>& arguments) {
  std::string name = (std::filesystem::temp_directory_path() / "radgpt-XXXXXX").string();
  if (mkdtemp(name.data()) == nullptr) throw std::runtime_error("no temporary folder");
  const std::filesystem::path folder = name;
  const pid_t child = fork();
  if (child < 0) throw std::runtime_error("no new process");
  if (child == 0) become_radgpt(arguments, folder);
  int status = 0;
  rusage usage = {};
  wait4(child, &status, 0, &usage);
  ProcessResult result;
  result.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  result.seconds = seconds_of(usage.ru_utime) + seconds_of(usage.ru_stime);
  result.output = text_of(folder / "output");
  result.errors = text_of(folder / "errors");
  std::filesystem::remove_all(folder);
  return result;
}

}  // namespace radgpt
