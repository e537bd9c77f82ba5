#include "tests/simt/scheduler.h"

#include <algorithm>
#include <numeric>

#include "libradgpt/base/error.h"
#include "tests/simt/collectives.h"
#include "tests/simt/order.h"
#include "tests/simt/sanitizers.h"
#include "tests/simt/traffic.h"

simt::Index threadIdx;
simt::Index blockIdx;
simt::Index blockDim;
simt::Index gridDim;

namespace simt {

using radgpt::concat;

Scheduler scheduler;

void Scheduler::run(const LaunchShape& shape, const std::function<void()>& thread) {
  body_ = &thread;
  prepare(shape);
  begin_traffic(shape.kernel);
  std::vector<uint32_t> blocks(static_cast<size_t>(shape.x * shape.y * shape.z));
  draw_order(blocks.data(), static_cast<int64_t>(blocks.size()));
  for (const int64_t block : blocks) {
    run_block({static_cast<unsigned>(block % shape.x),
               static_cast<unsigned>(block / shape.x % shape.y),
               static_cast<unsigned>(block / shape.x / shape.y)});
    if (failure_) break;
  }
  Fiber::end_threads();
  if (failure_) std::rethrow_exception(failure_);
  end_traffic();
}

void Scheduler::prepare(const LaunchShape& shape) {
  shape_ = &shape;
  failure_ = nullptr;
  next_stack_ = 0;
  random_ = order_seed() * 2 + 1;
  const auto threads = static_cast<size_t>(shape.threads);
  while (threads_.size() < threads) threads_.push_back(std::make_unique<Thread>());
  waiting_.resize(threads);
  warps_.resize((threads + kLanes - 1) / kLanes);
  blockDim = {static_cast<unsigned>(shape.threads), 1, 1};
  gridDim = {static_cast<unsigned>(shape.x), static_cast<unsigned>(shape.y),
             static_cast<unsigned>(shape.z)};
  caller_.adopt_caller();
}

void Scheduler::run_block(Index block) {
  shared_.start_block(shape_->shared_bytes);
  blockIdx = block;
  begin_block_traffic();
  prepare_fibers();
  start_phase();
  current_ = next();
  threadIdx = {static_cast<unsigned>(current_), 0, 0};
  caller_.switch_to(fiber(current_));
  current_ = kCaller;
  if (!failure_ && !shared_.guards_hold()) {
    failure_ = std::make_exception_ptr(
        Fault("shared memory in " + kernel_and_block() + ": written beyond the end of an array"));
  }
}

// ThreadSanitizer knows 1024 threads, each with its stack. They go round, so that blocks that
// follow each other have different ones if they fit: it sees no race between blocks in what one of
// its threads does for both, but all others.
void Scheduler::prepare_fibers() {
  stacks_.reserve(kThreadSanitizer ? kMostThreads : shape_->threads);
  if (!kThreadSanitizer) next_stack_ = 0;
  for (int i = 0; i < shape_->threads; ++i) {
    const int stack = next_stack_++ % kMostThreads;
    fiber(i).prepare(&Scheduler::enter, stacks_.at(stack), Stacks::bytes(stack), stack);
    waiting_[static_cast<size_t>(i)].wait = Wait::kNothing;
    threads_[static_cast<size_t>(i)]->open_copies = 0;
    threads_[static_cast<size_t>(i)]->committed_groups = 0;
  }
}

Fiber& Scheduler::fiber(int thread) {
  return thread == kCaller ? caller_ : threads_[static_cast<size_t>(thread)]->fiber;
}

void Scheduler::enter() {
  Fiber& self = scheduler.thread().fiber;
  try {
    (*scheduler.body_)();
    scheduler.end_thread();
  } catch (...) {
    scheduler.failure_ = std::current_exception();
    scheduler.current_ = kCaller;
  }
  self.end(scheduler.fiber(scheduler.current_));
}

void Scheduler::end_thread() {
  const Thread& self = thread();
  if (self.open_copies > 0) {
    fault("async_copy16", "the thread ends before async_wait has met this copy",
          self.copies[0].where);
  }
  waiting_[static_cast<size_t>(current_)].wait = Wait::kEnd;
  current_ = next();
  threadIdx.x = static_cast<unsigned>(current_);
}

void Scheduler::wait(Wait wait, Where where) {
  const int self = current_;
  waiting_[static_cast<size_t>(self)] = {wait, where};
  current_ = next();
  if (current_ == self) return;
  threadIdx.x = static_cast<unsigned>(current_);
  fiber(self).switch_to(fiber(current_));
}

void* Scheduler::meeting(Wait wait) {
  if (wait == Wait::kBarrier) return shared_.meeting(side_);
  return shared_.meeting(2 + current_ / kLanes * 2 + warp().side);
}

void Scheduler::start_phase() {
  side_ ^= 1;
  draw_order(warp_order_.data(), static_cast<int64_t>(warps_.size()));
  for (Warp& warp : warps_) start_lanes(warp);
  warp_position_ = 0;
}

void Scheduler::start_lanes(Warp& warp) {
  const auto first = static_cast<int>(&warp - warps_.data()) * kLanes;
  warp.lanes = std::min(kLanes, shape_->threads - first);
  draw_order(warp.order.data(), warp.lanes);
  warp.next = 0;
}

// The thread that runs next: the caller of the launch if the block has ended or cannot go on.
int Scheduler::next() {
  while (true) {
    const int number = warp_order_[static_cast<size_t>(warp_position_)];
    Warp& warp = warps_[static_cast<size_t>(number)];
    if (warp.next < warp.lanes) {
      return number * kLanes + warp.order[static_cast<size_t>(warp.next++)];
    }
    const Wait wait = waiting_[static_cast<size_t>(number * kLanes)].wait;
    const bool of_block = wait == Wait::kBarrier || wait == Wait::kEnd;
    if (!warp_met(number)) return kCaller;
    if (!of_block) {
      start_lanes(warp);
    } else if (++warp_position_ == static_cast<int>(warps_.size())) {
      if (!block_met()) return kCaller;
      start_phase();
    }
  }
}

std::span<const Waiting> Scheduler::waiting(int begin, int end) const {
  return {waiting_.data() + begin, waiting_.data() + end};
}

// Whether the lanes of a warp, all of which wait, may go on together or wait for other warps.
bool Scheduler::warp_met(int number) {
  Warp& warp = warps_[static_cast<size_t>(number)];
  const int begin = number * kLanes;
  const int end = begin + warp.lanes;
  const std::span<const Waiting> lanes = waiting(begin, end);
  const auto for_block = [](const Waiting& lane) {
    return lane.wait == Wait::kBarrier || lane.wait == Wait::kEnd;
  };
  if (std::all_of(lanes.begin(), lanes.end(), for_block)) return true;
  if (warp.lanes < kLanes || !all_alike(lanes)) {
    failure_ = std::make_exception_ptr(
        Fault(divergence(lanes, kLanes, concat(kernel_and_block(), ", warp ", number))));
    return false;
  }
  if (lanes[0].wait == Wait::kMultiplyAdd) multiply_fragments(warp.products);
  warp.side ^= 1;
  return true;
}

// Whether the threads of a block, all of which wait, may go on.
bool Scheduler::block_met() {
  if (!all_alike(waiting_)) {
    failure_ =
        std::make_exception_ptr(Fault(divergence(waiting_, shape_->threads, kernel_and_block())));
    return false;
  }
  return waiting_[0].wait == Wait::kBarrier;
}

std::string Scheduler::kernel_and_block() const {
  return concat(shape_->kernel, ", block (", blockIdx.x, ",", blockIdx.y, ",", blockIdx.z, ")");
}

void Scheduler::fault(const std::string& what, const std::string& text, Where where) const {
  throw Fault(concat(what, " in ", kernel_and_block(), ", thread ", current_, ": ", text, " (",
                     place(where), ")"));
}

// Fisher-Yates, with the numbers of splitmix64.
template <typename T>
void Scheduler::draw_order(T* order, int64_t count) {
  std::iota(order, order + count, T{0});
  for (int64_t i = count - 1; i > 0; --i) {
    uint64_t word = random_ += 0x9E3779B97F4A7C15;
    word = (word ^ (word >> 30)) * 0xBF58476D1CE4E5B9;
    word = (word ^ (word >> 27)) * 0x94D049BB133111EB;
    const auto j = static_cast<int64_t>(((word >> 32) * static_cast<uint64_t>(i + 1)) >> 32);
    std::swap(order[i], order[j]);
  }
}

}  // namespace simt
