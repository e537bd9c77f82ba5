#pragma once

#include <functional>

#include "libradgpt/distributed/communicator.h"

namespace radgpt {

/// Calls `rank_main` in `size` threads that are the ranks of one run, over Gloo and a store on
/// loopback as between processes. Returns when all have ended; rethrows what the lowest of them
/// threw.
void run_thread_ranks(int size, const std::function<void(Communicator&)>& rank_main,
                      const CommunicatorOptions& options = {});

}  // namespace radgpt
