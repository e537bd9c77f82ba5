#pragma once

#include <ctime>
#include <string>
#include <vector>

#include "libradgpt/base/error.h"
#include "tests/catch.h"

namespace radgpt {

/// Stands in bad inputs where a report's text could stand; no message may contain it.
inline const std::string kSecret = "SECRET7f3a";

#ifdef __SANITIZE_ADDRESS__
constexpr double kMostSeconds = 20;
#else
constexpr double kMostSeconds = 2;
#endif

/// The message of the Error(kInput) that `action` must throw, of one line, within 2 seconds of
/// processor time and without a value's text.
template <typename Action>
std::string refusal(const Action& action) {
  const std::clock_t start = std::clock();
  std::string message = "accepted";
  try {
    action();
  } catch (const Error& error) {
    CHECK(error.exit_code() == 3);
    message = error.what();
  }
  CHECK(static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC < kMostSeconds);
  CHECK(message.find('\n') == std::string::npos);
  CHECK(message.find(kSecret) == std::string::npos);
  CHECK(message.size() < 1000);
  return message;
}

/// One bad input of a table: what it is, the bytes, what the message must say besides the file.
struct BadBytes {
  const char* name;
  std::string bytes;
  std::vector<std::string> said;
};

/// Checks that the message names the file and says all that the row asks for.
inline void check_message(const std::string& message, const std::string& file,
                          const std::vector<std::string>& said) {
  INFO(message);
  CHECK(message.starts_with(file + ":"));
  for (const std::string& part : said) {
    INFO("must say: " << part);
    CHECK(message.find(part) != std::string::npos);
  }
}

inline std::string repeated(const std::string& part, size_t times) {
  std::string text;
  for (size_t i = 0; i < times; ++i) text += part;
  return text;
}

}  // namespace radgpt
