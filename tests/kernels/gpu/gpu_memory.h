#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <map>
#include <string>
#include <vector>

namespace gpu {

/// Memory that the GPU and the host see, aligned to 256 bytes. Throws std::runtime_error.
void* allocate(size_t bytes);
void release(void* memory);

/// Returns when all kernels have ended. Throws std::runtime_error with CUDA's reason if one has
/// failed; the process can run no more after that.
void synchronise();

/// A GPU has an order of its own each time: two runs in two of these must still give equal bits.
struct Order {
  explicit Order(uint64_t) {}
  ~Order() {}  // so that nobody calls it unused
};

/// Named buffers of one call, as simt::Memory has them. What a kernel writes beside one is found
/// when values() is asked for any; strays far off are for compute-sanitizer.
class Memory {
 public:
  Memory() = default;
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;
  ~Memory();

  template <typename T>
  const T* input(const std::string& name, const std::vector<T>& values) {
    T* copy = in_place(name, values);
    Buffer& buffer = buffers_.at(name);
    buffer.input.assign(buffer.begin, buffer.begin + buffer.bytes);
    return copy;
  }
  /// Read and written.
  template <typename T>
  T* in_place(const std::string& name, const std::vector<T>& values) {
    unsigned char* begin = add(name, values.size() * sizeof(T));
    if (!values.empty()) std::memcpy(begin, values.data(), values.size() * sizeof(T));
    return reinterpret_cast<T*>(begin);
  }
  /// Starts as bytes 0xFF: NaN in every float type.
  template <typename T>
  T* output(const std::string& name, int64_t count) {
    return reinterpret_cast<T*>(add(name, static_cast<size_t>(count) * sizeof(T)));
  }
  /// When all kernels have ended. Throws std::runtime_error if they have changed an input, or what
  /// stands beside a buffer.
  template <typename T>
  std::vector<T> values(const std::string& name) const {
    expect_intact();
    const Buffer& buffer = buffers_.at(name);
    std::vector<T> copy(buffer.bytes / sizeof(T));
    if (!copy.empty()) std::memcpy(static_cast<void*>(copy.data()), buffer.begin, buffer.bytes);
    return copy;
  }
  /// Of an output. True unless eight bytes in a row, or the whole buffer, are as they were.
  bool every_byte_written(const std::string& name) const;

 private:
  struct Buffer {
    unsigned char* begin;  ///< behind a guard
    size_t bytes;
    std::vector<unsigned char> input;  ///< of an input: what it must remain
  };
  unsigned char* add(const std::string& name, size_t bytes);
  void expect_intact() const;

  std::map<std::string, Buffer> buffers_;
};

}  // namespace gpu
