#pragma once

#include <string>
#include <vector>

namespace radgpt {

struct ProcessResult {
  int exit_code = -1;  ///< 128 + signal if a signal ended it
  std::string output;
  std::string errors;
  double seconds = 0;  ///< of processor time, which the machine's load does not change
};

/// Runs the executable `radgpt` with arguments in the root of the project and waits for its end.
ProcessResult run_radgpt(const std::vector<std::string>& arguments);

}  // namespace radgpt
