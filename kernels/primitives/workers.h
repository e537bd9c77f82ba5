#pragma once

#include <cstdint>
#include <functional>

namespace radgpt::kernels {

/// The threads that a CPU kernel may use: the caller's, so that a program has one pool of them.
/// No result depends on how many there are.
class Workers {
 public:
  virtual ~Workers() = default;
  /// Calls work(begin, end) for ranges that together are [0, tasks), each on one thread, and
  /// returns when all are done. Passes on an exception of `work`.
  virtual void run(int64_t tasks, const std::function<void(int64_t, int64_t)>& work) const = 0;
};

/// The calling thread alone.
class OneWorker final : public Workers {
 public:
  void run(int64_t tasks, const std::function<void(int64_t, int64_t)>& work) const override {
    if (tasks > 0) work(0, tasks);
  }
};

/// `count` threads started for each call.
class ThreadWorkers final : public Workers {
 public:
  explicit ThreadWorkers(int count) : count_(count) {}
  void run(int64_t tasks, const std::function<void(int64_t, int64_t)>& work) const override;

 private:
  int count_;
};

}  // namespace radgpt::kernels
