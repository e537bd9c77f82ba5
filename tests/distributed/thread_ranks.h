#pragma once

#include <functional>
#include <set>
#include <string>

#include "libradgpt/distributed/communicator.h"

namespace radgpt {

/// Calls `rank_main` in `size` threads that are the ranks of one run, over Gloo and a store on
/// loopback as between processes. Returns when all have ended; rethrows what the lowest of them
/// threw.
void run_thread_ranks(int size, const std::function<void(Communicator&)>& rank_main,
                      const CommunicatorOptions& options = {});

/// The same; "CODE MESSAGE" of the Error that each rank has ended with, if it has.
std::multiset<std::string> ends_of_ranks(int size,
                                         const std::function<void(Communicator&)>& rank_main,
                                         const CommunicatorOptions& options = {});

/// The different ones of them.
inline std::set<std::string> distinct_ends(int size,
                                           const std::function<void(Communicator&)>& rank_main,
                                           const CommunicatorOptions& options = {}) {
  const std::multiset<std::string> ends = ends_of_ranks(size, rank_main, options);
  return {ends.begin(), ends.end()};
}

}  // namespace radgpt
