#pragma once

#include <sstream>
#include <stdexcept>
#include <string>

namespace radgpt {

/// What went wrong, by who can mend it. The value is the exit code of the executable `radgpt`.
enum class ErrorKind {
  kUsage = 2,        ///< the command line
  kInput = 3,        ///< a file, a recipe, a data set
  kEnvironment = 4,  ///< disk, memory, device, permissions
  kPeer = 5,         ///< another rank died or hung; a restart may help
  kNumeric = 6,      ///< losses or gradients stopped being finite
  kDivergence = 7,   ///< ranks that must agree do not
  kPrivacy = 8,      ///< a privacy gate refused
};

/// The one exception of the library. `what()` is one line: who or which file and key, the rule,
/// what came. It never contains report text and never a stack trace.
class Error : public std::runtime_error {
 public:
  Error(ErrorKind kind, const std::string& message) : std::runtime_error(message), kind_(kind) {}
  ErrorKind kind() const { return kind_; }
  int exit_code() const { return static_cast<int>(kind_); }

 private:
  ErrorKind kind_;
};

/// All parts written one after the other with operator<<.
template <typename... Parts>
std::string concat(const Parts&... parts) {
  std::ostringstream text;
  (text << ... << parts);
  return text.str();
}

/// Throws Error(kind, concat(parts...)).
template <typename... Parts>
[[noreturn]] void fail(ErrorKind kind, const Parts&... parts) {
  throw Error(kind, concat(parts...));
}

/// Throws Error(kInput, concat(parts...)) unless `condition` holds.
template <typename... Parts>
void require(bool condition, const Parts&... parts) {
  if (!condition) fail(ErrorKind::kInput, parts...);
}

}  // namespace radgpt
