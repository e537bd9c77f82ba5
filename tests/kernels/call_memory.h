#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "kernels/primitives/bfloat16.h"
#include "kernels/primitives/stream.h"
#include "tests/kernels/device_memory.h"

namespace radgpt::kernels {

/// Bytes that no one has written; as a number of any type they are NaN.
inline constexpr unsigned char kPoison = 0xFF;

/// The arrays of one call of a kernel in memory of the device: random inputs, and outputs of NaN,
/// so that what a kernel forgets to write shows. The executor notices what a kernel reads or writes
/// beside them (simt::Memory). Behind each row of a stride stands NaN as well: what is read there
/// spoils the result, what is written there is found. One CallMemory lives at a time.
class CallMemory {
 public:
  /// The same seed gives the same inputs.
  explicit CallMemory(uint32_t seed) : seed_(seed) {}

  /// [rows, columns] values spread evenly over [-size, size), other ones for each array.
  std::vector<double> random(int64_t rows, int64_t columns, double size = 1.0) const;

  template <typename T>
  const T* input(const std::vector<double>& values, int64_t columns, int64_t stride) {
    const auto rows = static_cast<int64_t>(values.size()) / std::max<int64_t>(columns, 1);
    std::vector<unsigned char> bytes = poison_bytes(rows * stride * sizeof(T));
    T* to = reinterpret_cast<T*>(bytes.data());
    for (int64_t i = 0; i < rows * columns; ++i) {
      to[i / columns * stride + i % columns] = T(static_cast<Compute<T>>(values[i]));
    }
    return reinterpret_cast<T*>(add({Use::kInput, rows, columns, stride, sizeof(T), bytes}));
  }
  template <typename T>
  const T* input(int64_t rows, int64_t columns, int64_t stride, double size = 1.0) {
    return input<T>(random(rows, columns, size), columns, stride);
  }
  /// A copy of an input, which the call may overwrite.
  template <typename T>
  T* in_place(const T* input) {
    Array copy = array_at(input);
    copy.use = Use::kInPlace;
    return reinterpret_cast<T*>(add(copy));
  }
  template <typename T>
  T* output(int64_t rows, int64_t columns, int64_t stride) {
    return reinterpret_cast<T*>(add(
        {Use::kOutput, rows, columns, stride, sizeof(T), poison_bytes(rows * stride * sizeof(T))}));
  }
  /// For an output that is not wanted, and must stay as it is: null, to stand for it in the call.
  std::nullptr_t leave(const void* output);
  /// Scratch memory, NaN at first.
  Workspace workspace(size_t bytes);

  /// Fails the test unless each element of the outputs was written, and nothing else.
  void expect_written() const;
  /// The bytes of all outputs: equal for two runs that are equal bit for bit.
  std::vector<unsigned char> outputs() const;
  /// Arrays that a call writes are as before the first run.
  void reset();

 private:
  enum class Use { kInput, kInPlace, kOutput };
  struct Array {
    Use use;
    int64_t rows, columns, stride;
    int64_t element;                   ///< bytes of one
    std::vector<unsigned char> bytes;  ///< at first, with the rest of the strides
    std::string name = {};             ///< in memory_
    unsigned char* begin = nullptr;
  };

  static std::vector<unsigned char> poison_bytes(int64_t count) {
    return std::vector<unsigned char>(static_cast<size_t>(count), kPoison);
  }
  unsigned char* add(Array array);
  Array& array_at(const void* begin);

  uint32_t seed_;
  DeviceMemory memory_;
  std::vector<Array> arrays_;
  int workspaces_ = 0;
};

}  // namespace radgpt::kernels
