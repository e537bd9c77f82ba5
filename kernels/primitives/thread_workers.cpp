#include <algorithm>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

#include "kernels/primitives/workers.h"

namespace radgpt::kernels {

void ThreadWorkers::run(int64_t tasks, const std::function<void(int64_t, int64_t)>& work) const {
  const int64_t count = std::min<int64_t>(tasks, count_);
  if (count <= 1) return OneWorker().run(tasks, work);
  std::exception_ptr first;
  std::mutex guard;
  std::vector<std::jthread> threads;
  for (int64_t i = 0; i < count; ++i) {
    threads.emplace_back([&, begin = tasks * i / count, end = tasks * (i + 1) / count] {
      try {
        work(begin, end);
      } catch (...) {
        const std::lock_guard lock(guard);
        if (!first) first = std::current_exception();
      }
    });
  }
  threads.clear();
  if (first) std::rethrow_exception(first);
}

}  // namespace radgpt::kernels
