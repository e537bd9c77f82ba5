#include "tests/simt/fiber.h"

#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <cstdint>
#include <cstdlib>
#include <new>

#include "tests/simt/sanitizers.h"

#if defined(__x86_64__)
// Saves the registers that a call keeps and the stack pointer in *rdi; continues with those of rsi.
asm(R"(
.text
.globl simt_switch_stack
.type simt_switch_stack, @function
simt_switch_stack:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size simt_switch_stack, . - simt_switch_stack
)");
extern "C" void simt_switch_stack(void** from, void* to);
#endif

namespace simt {
namespace {

Fiber* previous = nullptr;  // the one that switched last
Fiber* running = nullptr;

#ifdef SIMT_TSAN
std::array<void*, kMostThreads> threads{};  // ThreadSanitizer's, which are dear to make
void* caller = nullptr;
#endif

}  // namespace

#if defined(__x86_64__)

void Fiber::prepare(void (*entry)(), unsigned char* stack, size_t bytes, int thread) {
  entry_ = entry;
  bottom_ = stack;
  bytes_ = bytes;
  allow(stack, bytes);  // frames that a fault abandoned
  start_thread(thread);
  auto* top = reinterpret_cast<void**>(stack + bytes);
  *--top = nullptr;  // nobody to return to
  *--top = reinterpret_cast<void*>(&Fiber::begin);
  for (int i = 0; i < 6; ++i) *--top = nullptr;
  stack_pointer_ = top;
}

void Fiber::jump(Fiber& next) { simt_switch_stack(&stack_pointer_, next.stack_pointer_); }

#else

void Fiber::prepare(void (*entry)(), unsigned char* stack, size_t bytes, int thread) {
  entry_ = entry;
  bottom_ = stack;
  bytes_ = bytes;
  allow(stack, bytes);
  start_thread(thread);
  getcontext(&context_);
  context_.uc_stack.ss_sp = stack;
  context_.uc_stack.ss_size = bytes;
  context_.uc_link = nullptr;
  makecontext(&context_, &Fiber::begin, 0);
}

void Fiber::jump(Fiber& next) { swapcontext(&context_, &next.context_); }

#endif

void Fiber::adopt_caller() {
#ifdef SIMT_TSAN
  sanitizer_ = caller = __tsan_get_current_fiber();
#endif
  running = this;
}

void Fiber::announce_switch(Fiber& next, [[maybe_unused]] void** kept) {
  previous = this;
  running = &next;
#ifdef __SANITIZE_ADDRESS__
  __sanitizer_start_switch_fiber(kept, next.bottom_, next.bytes_);
#endif
#ifdef SIMT_TSAN
  __tsan_switch_to_fiber(next.sanitizer_, __tsan_switch_to_fiber_no_sync);
#endif
}

void Fiber::arrive([[maybe_unused]] void* kept) {
#ifdef __SANITIZE_ADDRESS__
  __sanitizer_finish_switch_fiber(kept, &previous->bottom_, &previous->bytes_);
#endif
}

void Fiber::switch_to(Fiber& next) {
  void* kept = nullptr;
  announce_switch(next, &kept);
  jump(next);
  arrive(kept);
}

void Fiber::end(Fiber& next) {
  announce_switch(next, nullptr);
  jump(next);
  std::abort();
}

void Fiber::start_thread([[maybe_unused]] int thread) {
#ifdef SIMT_TSAN
  void*& own = threads[static_cast<size_t>(thread)];
  if (!own) own = __tsan_create_fiber(0);
  __tsan_switch_to_fiber(own, 0);  // so that what came before it is known there
  __tsan_switch_to_fiber(caller, __tsan_switch_to_fiber_no_sync);
  sanitizer_ = own;
#endif
}

void Fiber::end_threads() {
#ifdef SIMT_TSAN
  for (void* thread : threads) {
    if (!thread) continue;
    __tsan_switch_to_fiber(thread, __tsan_switch_to_fiber_no_sync);
    __tsan_switch_to_fiber(caller, 0);
  }
#endif
}

void Fiber::begin() {
  running->arrive(nullptr);
  running->entry_();
  std::abort();
}

namespace {

size_t page() {
  static const auto bytes = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  return bytes;
}

}  // namespace

void Stacks::reserve(int count) {
  if (count <= count_) return;
  release();
  const size_t each = kStackBytes + page();
  void* memory = mmap(nullptr, each * count, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) throw std::bad_alloc();
  memory_ = static_cast<unsigned char*>(memory);
  count_ = count;
  for (int i = 0; i < count; ++i) mprotect(memory_ + i * each, page(), PROT_NONE);
}

void Stacks::release() {
  if (memory_) munmap(memory_, (kStackBytes + page()) * count_);
  memory_ = nullptr;
  count_ = 0;
}

unsigned char* Stacks::at(int i) const {
  return memory_ + static_cast<size_t>(i) * (kStackBytes + page()) + page();
}

// Tops at the same place of every page would share the few lines of the cache that belong to it.
size_t Stacks::bytes(int i) { return kStackBytes - static_cast<size_t>(i % 16) * 256; }

}  // namespace simt
