#include <cstdint>
#include <mutex>

#include "libradgpt/base/error.h"
#include "tests/simt/hooks.h"
#include "tests/simt/scheduler.h"

// Of each kernel, where its empty instructions begin: a section that the compiler writes and of
// which the linker knows both ends.
extern "C" const uintptr_t __start___patchable_function_entries[];
extern "C" const uintptr_t __stop___patchable_function_entries[];

namespace simt {
namespace {

std::mutex one_launch;  // the names of a kernel are global

constexpr int64_t kMostBlocksX = (int64_t{1} << 31) - 1;
constexpr int64_t kMostBlocksYZ = 65535;

void check_limits(const LaunchShape& shape) {
  const auto check = [&](bool holds, const char* rule, int64_t came) {
    if (holds) return;
    throw Fault(radgpt::concat("launch of ", shape.kernel, ": ", rule, ", got ", came));
  };
  check(shape.threads >= 1 && shape.threads <= kMostThreads, "a block has 1 to 1024 threads",
        shape.threads);
  check(shape.threads <= shape.bound, "more threads than the kernel is compiled for",
        shape.threads);
  check(shape.x >= 1 && shape.x <= kMostBlocksX, "a grid has 1 to 2^31 - 1 blocks in x", shape.x);
  check(shape.y >= 1 && shape.y <= kMostBlocksYZ, "a grid has 1 to 65535 blocks in y", shape.y);
  check(shape.z >= 1 && shape.z <= kMostBlocksYZ, "a grid has 1 to 65535 blocks in z", shape.z);
  check(shape.shared_bytes <= kMostShared, "a block has at most 101376 bytes of shared memory",
        static_cast<int64_t>(shape.shared_bytes));
}

}  // namespace

int bound_of(const void* kernel) {
  const auto end = reinterpret_cast<uintptr_t>(kernel);
  uintptr_t warps = 0;
  for (const uintptr_t* begin = __start___patchable_function_entries;
       begin != __stop___patchable_function_entries; ++begin) {
    if (end - *begin <= kMostThreads / kLanes) warps = end - *begin;
  }
  return static_cast<int>(warps) * kLanes;
}

void run(const LaunchShape& shape, const std::function<void()>& thread) {
  const std::lock_guard lock(one_launch);
  check_limits(shape);
  scheduler.run(shape, thread);
}

}  // namespace simt
