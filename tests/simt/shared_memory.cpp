#include "tests/simt/shared_memory.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <new>

#include "tests/simt/sanitizers.h"

namespace simt {
namespace {

constexpr int kPoison = 0xFF;
constexpr size_t kGuard = 64;
constexpr size_t kHead = 1024;  // meetings
constexpr size_t kBytes = 512 << 10;

size_t rounded(size_t bytes, size_t step) { return (bytes + step - 1) / step * step; }

}  // namespace

SharedMemory::~SharedMemory() {
  if (memory_) munmap(memory_, kBytes);
}

void SharedMemory::start_block(size_t dynamic_bytes) {
  if (memory_ && kThreadSanitizer) {
    munmap(memory_, kBytes);  // so that nobody takes this block for the one before
    memory_ = nullptr;
  }
  if (!memory_) {
    void* memory = mmap(nullptr, kBytes, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) throw std::bad_alloc();
    memory_ = static_cast<unsigned char*>(memory);
  }
  allow(memory_, kBytes);
  end_ = memory_ + kHead;
  count_ = 0;
  used_ = 0;
  append(nullptr, dynamic_bytes);
}

// Aligned to 16 bytes and to no more, as an array of a kernel is.
SharedMemory::Array& SharedMemory::append(const void* key, size_t bytes) {
  const Unseen unseen;
  unsigned char* const guard = end_;
  unsigned char* const begin = guard + kGuard + 16;
  end_ = begin + rounded(bytes, kGuard) + kGuard;
  std::memset(guard, kPoison, static_cast<size_t>(end_ - guard));
  forbid(guard, static_cast<size_t>(begin - guard));
  forbid(begin + bytes, static_cast<size_t>(end_ - begin) - bytes);
  used_ += bytes;
  return arrays_[count_++] = {key, begin, bytes};
}

void* SharedMemory::array(const void* key, size_t bytes) {
  for (int i = 1; i < count_; ++i) {
    if (arrays_[i].key == key) return arrays_[i].begin;
  }
  if (count_ == kMostArrays || used_ + bytes > kMostShared) return nullptr;
  return append(key, bytes).begin;
}

bool SharedMemory::holds(const void* p, size_t bytes) const {
  const auto* byte = static_cast<const unsigned char*>(p);
  return std::any_of(arrays_, arrays_ + count_, [&](const Array& array) {
    return byte >= array.begin && byte + bytes <= array.begin + array.bytes;
  });
}

bool SharedMemory::guards_hold() const {
  const unsigned char* begin = memory_ + kHead;
  for (int i = 0; i <= count_; ++i) {
    const unsigned char* end = i < count_ ? arrays_[i].begin : end_;
    allow(begin, static_cast<size_t>(end - begin));
    if (!std::all_of(begin, end, [](unsigned char byte) { return byte == kPoison; })) return false;
    if (i < count_) begin = arrays_[i].begin + arrays_[i].bytes;
  }
  return true;
}

}  // namespace simt
