#pragma once

#include <cstdint>
#include <cstring>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "tests/simt/fault.h"

namespace simt {

class Buffer;

struct Bytes {
  int64_t read = 0;
  int64_t written = 0;

  Bytes& operator+=(const Bytes& other);
  bool operator==(const Bytes&) const = default;
};

/// What kernels ask of global memory.
struct Traffic {
  Bytes requested;  ///< by all threads together
  /// Each sector of 32 bytes counted once a launch: what must come from DRAM if the cache is large.
  Bytes distinct;

  Traffic& operator+=(const Traffic& other);
  bool operator==(const Traffic&) const = default;
};

/// One launch while a Memory lived.
struct Launch {
  std::string kernel;
  std::map<std::string, Traffic> buffers;  ///< those of the Memory, by name

  Traffic total() const;
};

/// Global memory as the kernels of a test see it: while a Memory lives, every access of a kernel
/// must lie in one of its buffers. The launch throws a Fault for
///
///   an access that does, in part, lie elsewhere        a write to an input
///   a read of bytes of an output that nobody wrote     a write beside a buffer by other means
///   two blocks of one launch that touch the same byte, one of them writing and not both atomically
///
/// Buffers are aligned to 256 bytes, as those of cudaMalloc are. One Memory lives at a time.
class Memory {
 public:
  Memory();
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;
  ~Memory();

  template <typename T>
  const T* input(const std::string& name, const std::vector<T>& values) {
    return copied(name, values, Use::kInput);
  }
  /// Read and written.
  template <typename T>
  T* in_place(const std::string& name, const std::vector<T>& values) {
    return copied(name, values, Use::kInPlace);
  }
  /// Starts as bytes 0xFF: NaN in every float type.
  template <typename T>
  T* output(const std::string& name, int64_t count) {
    return reinterpret_cast<T*>(add(name, static_cast<size_t>(count) * sizeof(T), Use::kOutput));
  }
  template <typename T>
  std::vector<T> values(const std::string& name) const {
    const auto [begin, bytes] = range(name);
    std::vector<T> copy(bytes / sizeof(T));
    if (bytes > 0) std::memcpy(static_cast<void*>(copy.data()), begin, bytes);
    return copy;
  }

  const std::vector<Launch>& launches() const { return launches_; }
  Traffic traffic() const;                               ///< of all launches
  Traffic traffic(const std::string& name) const;        ///< of all launches with one buffer
  int64_t bytes_written(const std::string& name) const;  ///< that kernels wrote, each counted once
  bool every_byte_written(const std::string& name) const;

  enum class Use { kInput, kInPlace, kOutput };

 private:
  friend class Recorder;
  template <typename T>
  T* copied(const std::string& name, const std::vector<T>& values, Use use) {
    unsigned char* begin = add(name, values.size() * sizeof(T), use);
    if (!values.empty()) std::memcpy(begin, values.data(), values.size() * sizeof(T));
    return reinterpret_cast<T*>(begin);
  }
  unsigned char* add(const std::string& name, size_t bytes, Use use);
  std::pair<const unsigned char*, size_t> range(const std::string& name) const;
  const Buffer& buffer(const std::string& name) const;

  std::vector<std::unique_ptr<Buffer>> buffers_;  // by address
  std::vector<Launch> launches_;
};

/// What kernels have asked for since the program began, with a Memory or without.
Bytes requested_bytes();

}  // namespace simt
