#pragma once

#include <cstddef>

#if !defined(__x86_64__)
#include <ucontext.h>
#endif

namespace simt {

inline constexpr int kMostThreads = 1024;  ///< of a block

/// A stack of its own and the point of the program that it has reached. One runs at a time, and
/// says itself which runs next.
class Fiber {
 public:
  Fiber() = default;
  Fiber(const Fiber&) = delete;
  Fiber& operator=(const Fiber&) = delete;

  /// The next switch to this fiber calls entry() on the given stack. `entry` must not return. For
  /// ThreadSanitizer it is thread number `thread` < kMostThreads, which starts now.
  void prepare(void (*entry)(), unsigned char* stack, size_t bytes, int thread);
  /// Makes this fiber stand for the caller's own stack.
  void adopt_caller();
  /// Goes on in `next`; returns when a fiber switches back to this one, which is running now.
  void switch_to(Fiber& next);
  /// As switch_to, for a fiber that will not be switched to again before it is prepared anew.
  [[noreturn]] void end(Fiber& next);
  /// All that ThreadSanitizer's threads did happened before this. Called by the one who prepared
  /// them.
  static void end_threads();

 private:
  static void begin();
  void start_thread(int thread);
  void announce_switch(Fiber& next, void** kept);
  void arrive(void* kept);
  void jump(Fiber& next);

  void (*entry_)() = nullptr;
  const void* bottom_ = nullptr;  // of the stack
  size_t bytes_ = 0;
  void* sanitizer_ = nullptr;  // ThreadSanitizer's view of this fiber
#if defined(__x86_64__)
  void* stack_pointer_ = nullptr;
#else
  ucontext_t context_{};
#endif
};

/// Stacks for many fibers, each with a page below it that must not be touched.
class Stacks {
 public:
  Stacks() = default;
  Stacks(const Stacks&) = delete;
  Stacks& operator=(const Stacks&) = delete;
  ~Stacks() { release(); }

  /// Has room for `count` stacks from now on. Their contents are lost if it had not.
  void reserve(int count);
  unsigned char* at(int i) const;
  static size_t bytes(int i);  ///< of stack i

 private:
  void release();

  unsigned char* memory_ = nullptr;
  int count_ = 0;
};

}  // namespace simt
