#pragma once

#include <array>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "tests/simt/fiber.h"
#include "tests/simt/hooks.h"
#include "tests/simt/shared_memory.h"
#include "tests/simt/waiting.h"

namespace simt {

inline constexpr int kLanes = 32;
inline constexpr int kCaller = -1;  // in place of a thread's number: the caller of the launch

/// An async copy on its way.
struct OpenCopy {
  unsigned char* to;
  std::array<unsigned char, 16> bytes;
  Where where;
  int64_t group;
};

struct Thread {
  Fiber fiber;
  // Async copies in the order in which they were asked for; a fixed place, as nothing may be
  // allocated in one fiber and freed in another under ThreadSanitizer.
  static constexpr int kMostOpenCopies = 128;
  std::array<OpenCopy, kMostOpenCopies> copies;
  int open_copies = 0;
  int64_t committed_groups = 0;
};

/// Operands of a matrix product, one lane's.
struct MultiplyAdd {
  float* d;
  const uint32_t* a;
  const uint32_t* b;
};

struct Warp {
  std::array<uint8_t, kLanes> order;  // in which its lanes run until all of them wait
  int next = 0;                       // position in it
  int lanes = 0;                      // 32, fewer in the last warp of a block
  // What lanes bring to a shuffle or transpose. Two, since a lane may bring the next value before
  // another has fetched this one.
  uint64_t values[2][kLanes];
  int side = 0;
  MultiplyAdd products[kLanes];
};

/// The threads of one block. A warp runs until all its lanes wait for the block or have ended, then
/// the next does: so warps are as far apart as barriers allow. Warps, and the lanes of a warp
/// between two meetings, run in an order drawn anew each time.
class Scheduler {
 public:
  /// Runs thread() for each thread of each block. Throws Fault.
  void run(const LaunchShape& shape, const std::function<void()>& thread);

  /// The running thread waits, until those that it waits for are there.
  void wait(Wait wait, Where where);
  /// Throws the Fault of the running thread, whose operation is `what`.
  [[noreturn]] void fault(const std::string& what, const std::string& text, Where where) const;

  bool running() const { return current_ != kCaller; }
  int lane() const { return current_ % kLanes; }
  Thread& thread() { return *threads_[static_cast<size_t>(current_)]; }
  Warp& warp() { return warps_[static_cast<size_t>(current_ / kLanes)]; }
  SharedMemory& shared() { return shared_; }
  /// What stands for the next barrier of the block or warp. The one after it is another, as a
  /// thread may have reached that before others have left this one.
  void* meeting(Wait wait);

 private:
  static void enter();
  void end_thread();
  void prepare(const LaunchShape& shape);
  void run_block(Index block);
  void start_phase();
  void start_lanes(Warp& warp);
  int next();
  std::span<const Waiting> waiting(int begin, int end) const;
  bool warp_met(int warp);
  bool block_met();
  std::string kernel_and_block() const;
  void prepare_fibers();
  Fiber& fiber(int thread);
  template <typename T>
  void draw_order(T* order, int64_t count);

  const LaunchShape* shape_ = nullptr;
  const std::function<void()>* body_ = nullptr;
  std::vector<std::unique_ptr<Thread>> threads_;
  std::vector<Waiting> waiting_;
  std::vector<Warp> warps_;
  std::array<uint8_t, kMostThreads / kLanes> warp_order_;
  int warp_position_ = 0;
  int side_ = 0;           // as that of a warp
  int current_ = kCaller;  // the running thread
  Fiber caller_;
  Stacks stacks_;
  int next_stack_ = 0;
  SharedMemory shared_;
  uint64_t random_ = 0;
  std::exception_ptr failure_;
};

extern Scheduler scheduler;

}  // namespace simt
