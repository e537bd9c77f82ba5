#include <algorithm>
#include <cstdint>
#include <cstring>

#include "libradgpt/base/error.h"
#include "tests/simt/hooks.h"
#include "tests/simt/sanitizers.h"
#include "tests/simt/scheduler.h"

// Shared memory and what is copied there in the background.

namespace simt {

void* dynamic_shared() { return scheduler.shared().dynamic(); }

void* static_shared(const void* key, size_t bytes, Where where) {
  void* array = scheduler.shared().array(key, bytes);
  if (!array) {
    scheduler.fault("shared memory",
                    radgpt::concat("a block has at most ", kMostShared, " bytes, got ",
                                   scheduler.shared().used(), " and an array of ", bytes),
                    where);
  }
  return array;
}

// Until the copy lands its place holds neither the old bytes nor the new ones.
void async_copy16(void* shared, const void* global, Where where) {
  Thread& thread = scheduler.thread();
  if (reinterpret_cast<uintptr_t>(shared) % 16 != 0 || !scheduler.shared().holds(shared, 16)) {
    scheduler.fault("async_copy16", "the place for 16 bytes is not one of shared memory", where);
  }
  if (thread.open_copies == Thread::kMostOpenCopies) {
    scheduler.fault("async_copy16", "more than 128 open copies of one thread", where);
  }
  note(Access::kRead, global, 16, where);
  OpenCopy& copy = thread.copies[static_cast<size_t>(thread.open_copies++)];
  copy.to = static_cast<unsigned char*>(shared);
  copy.where = where;
  copy.group = thread.committed_groups;
  announce_read(global, 16, __builtin_return_address(0));
  announce_write(shared, 16, __builtin_return_address(0));
  const Unseen unseen;
  std::memcpy(copy.bytes.data(), global, 16);
  std::memset(shared, 0xFF, 16);
}

void async_commit() { ++scheduler.thread().committed_groups; }

void async_wait(int open_groups) {
  Thread& thread = scheduler.thread();
  OpenCopy* const end = thread.copies.data() + thread.open_copies;
  OpenCopy* copy = thread.copies.data();
  for (; copy != end && copy->group < thread.committed_groups - open_groups; ++copy) {
    announce_write(copy->to, 16, __builtin_return_address(0));
    const Unseen unseen;
    std::memcpy(copy->to, copy->bytes.data(), 16);
  }
  const Unseen unseen;
  std::copy(copy, end, thread.copies.data());
  thread.open_copies = static_cast<int>(end - copy);
}

}  // namespace simt
