#pragma once

#include <cstddef>

#include "tests/simt/fault.h"

namespace simt {

/// Most shared memory of a block, static and dynamic, on every device that the kernels are compiled
/// for: sm_89 has the least.
inline constexpr size_t kMostShared = 99 << 10;

/// The shared memory of the running block. Its bytes start as 0xFF, NaN in every float type, and
/// so do the guards between its arrays, which AddressSanitizer lets nobody touch.
class SharedMemory {
 public:
  SharedMemory() = default;
  SharedMemory(const SharedMemory&) = delete;
  SharedMemory& operator=(const SharedMemory&) = delete;
  ~SharedMemory();

  /// A new block with `dynamic_bytes` of dynamic shared memory.
  void start_block(size_t dynamic_bytes);
  void* dynamic() { return arrays_[0].begin; }
  /// The array declared at `key`, an address that stands for the declaration. Null: the block has
  /// more than kMostShared bytes with it, or more than kMostArrays arrays.
  void* array(const void* key, size_t bytes);
  /// True where [p, p + bytes) lies in one array.
  bool holds(const void* p, size_t bytes) const;
  /// True where nobody wrote to a guard.
  bool guards_hold() const;
  size_t used() const { return used_; }
  /// Addresses by which ThreadSanitizer tells the barriers of a block apart, i < 66.
  void* meeting(int i) { return memory_ + 8 * i; }

 private:
  static constexpr int kMostArrays = 64;
  struct Array {
    const void* key;
    unsigned char* begin;
    size_t bytes;
  };
  Array& append(const void* key, size_t bytes);

  unsigned char* memory_ = nullptr;
  unsigned char* end_ = nullptr;  // of what is given out, behind its guard
  Array arrays_[kMostArrays];     // the first one is the dynamic memory
  int count_ = 0;
  size_t used_ = 0;
};

}  // namespace simt
