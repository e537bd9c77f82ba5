#pragma once

#include <cerrno>

namespace radgpt {

/// Repeats a call that a signal cut off. Local disks are not cut off, some network ones are.
template <typename Call>
auto until_uninterrupted(const Call& call) {
  auto result = call();
  while (result < 0 && errno == EINTR) result = call();
  return result;
}

}  // namespace radgpt
