#include "tests/distributed/thread_ranks.h"

#include <cstdlib>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

#include "libradgpt/distributed/network_address.h"

namespace radgpt {

void run_thread_ranks(int size, const std::function<void(Communicator&)>& rank_main,
                      const CommunicatorOptions& options) {
  // c10d's flight recorder is one a process, and several groups at once damage its list of groups.
  setenv("TORCH_FR_BUFFER_SIZE", "0", 1);
  FileDescriptor listening = listen_at("127.0.0.1", 0);
  RankEnvironment environment;
  environment.size = size;
  environment.address = "127.0.0.1";
  environment.port = port_of(listening);
  const int socket = size > 1 ? listening.release() : -1;  // rank 0 closes it
  std::vector<std::exception_ptr> ends(static_cast<size_t>(size));
  std::vector<std::thread> threads;
  for (int rank = 0; rank < size; ++rank) {
    environment.rank = environment.local_rank = rank;
    environment.listening_socket = rank == 0 ? socket : -1;
    threads.emplace_back([&rank_main, &options, environment, end = &ends[rank]] {
      try {
        Communicator communicator(environment, options);
        try {
          rank_main(communicator);
        } catch (const Error& error) {
          communicator.end_with(error);
          throw;
        }
      } catch (...) {
        *end = std::current_exception();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const std::exception_ptr& end : ends) {
    if (end) std::rethrow_exception(end);
  }
}

std::multiset<std::string> ends_of_ranks(int size,
                                         const std::function<void(Communicator&)>& rank_main,
                                         const CommunicatorOptions& options) {
  std::mutex mutex;
  std::multiset<std::string> ends;
  const auto note_end = [&](Communicator& ranks) {
    try {
      rank_main(ranks);
    } catch (const Error& error) {
      ranks.end_with(error);
      const std::lock_guard lock(mutex);
      ends.insert(concat(error.exit_code(), ' ', error.what()));
    }
  };
  run_thread_ranks(size, note_end, options);
  return ends;
}

}  // namespace radgpt
