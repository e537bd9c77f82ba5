#pragma once

// What AddressSanitizer and ThreadSanitizer are told about fibers and shared memory; nothing where
// the build has neither. SIMT_TSAN comes from CMake: the executor itself is compiled without
// ThreadSanitizer, so that its own bookkeeping is not taken for the kernel's.

#include <cstddef>

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

#ifdef SIMT_TSAN
#include <sanitizer/tsan_interface.h>
extern "C" {
void __tsan_read_range_pc(void* begin, unsigned long bytes, void* pc);
void __tsan_write_range_pc(void* begin, unsigned long bytes, void* pc);
void __tsan_ignore_thread_begin();
void __tsan_ignore_thread_end();
}
#endif

namespace simt {

#ifdef SIMT_TSAN
inline constexpr bool kThreadSanitizer = true;
/// Everything before a release of an address happens before what follows an acquire of it.
inline void release(void* address) { __tsan_release(address); }
inline void acquire(void* address) { __tsan_acquire(address); }
/// The calling fiber reads or writes here, at the place `pc` of a kernel.
inline void announce_read(const void* begin, size_t bytes, void* pc) {
  __tsan_read_range_pc(const_cast<void*>(begin), bytes, pc);
}
inline void announce_write(void* begin, size_t bytes, void* pc) {
  __tsan_write_range_pc(begin, bytes, pc);
}
/// While it lives, ThreadSanitizer looks away: from memcpy and its like too, which it replaces.
struct Unseen {
  Unseen() { __tsan_ignore_thread_begin(); }
  ~Unseen() { __tsan_ignore_thread_end(); }
};
#else
inline constexpr bool kThreadSanitizer = false;
inline void release(void*) {}
inline void acquire(void*) {}
inline void announce_read(const void*, size_t, void*) {}
inline void announce_write(void*, size_t, void*) {}
struct Unseen {
  ~Unseen() {}  // so that nobody calls it unused
};
#endif

#ifdef __SANITIZE_ADDRESS__
inline void forbid(const void* begin, size_t bytes) { ASAN_POISON_MEMORY_REGION(begin, bytes); }
inline void allow(const void* begin, size_t bytes) { ASAN_UNPOISON_MEMORY_REGION(begin, bytes); }
#else
inline void forbid(const void*, size_t) {}
inline void allow(const void*, size_t) {}
#endif

#if defined(SIMT_TSAN) || defined(__SANITIZE_ADDRESS__) || !defined(__OPTIMIZE__)
inline constexpr size_t kStackBytes = 256 << 10;
#else
inline constexpr size_t kStackBytes = 64 << 10;
#endif

}  // namespace simt
