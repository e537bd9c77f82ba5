#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <vector>

#include "kernels/primitives/bfloat16.h"
#include "tests/kernels/device_memory.h"

namespace radgpt::kernels {

/// Bytes that no one has written; as a number of any type they are NaN.
inline constexpr unsigned char kPoison = 0xFF;

/// The arrays of one call of a kernel: random inputs, and outputs of NaN, so that what a kernel
/// forgets to write shows. Around all of them, and behind each row of a stride, stands NaN as well:
/// what is read there spoils the result, what is written there is found. Arrays are aligned to 256
/// bytes.
class CallMemory {
 public:
  /// The same seed gives the same inputs.
  explicit CallMemory(uint32_t seed) : seed_(seed) {}

  /// [rows, columns] values spread evenly over [-size, size).
  template <typename T>
  T* input(int64_t rows, int64_t columns, int64_t stride, double size = 1.0) {
    Array& array = add<T>(rows, columns, stride, Array::Use::kInput);
    T* values = start<T>(array);
    for (int64_t row = 0; row < rows; ++row) {
      for (int64_t column = 0; column < columns; ++column) {
        values[row * stride + column] = T(static_cast<Compute<T>>(size * uniform(row, column)));
      }
    }
    keep_inputs();
    return values;
  }
  template <typename T>
  T* output(int64_t rows, int64_t columns, int64_t stride) {
    return start<T>(add<T>(rows, columns, stride, Array::Use::kOutput));
  }

  /// The values of the inputs as they are now are those that a kernel must leave alone.
  void keep_inputs();
  /// Fails the test unless each element of the outputs was written, and nothing else.
  void expect_written() const;
  /// The bytes of all outputs: equal for two runs that are equal bit for bit.
  std::vector<unsigned char> outputs() const;
  /// Outputs are NaN again.
  void poison();

 private:
  struct Array {
    enum class Use { kInput, kOutput } use;
    int64_t rows, columns, stride;
    int64_t element;                     ///< bytes of one
    DeviceVector<unsigned char> bytes;   ///< a guard, rows of the stride, a guard
    DeviceVector<unsigned char> before;  ///< of an input
  };
  static constexpr int64_t kGuard = 256;  ///< bytes

  template <typename T>
  Array& add(int64_t rows, int64_t columns, int64_t stride, Array::Use use) {
    const auto bytes = rows * stride * static_cast<int64_t>(sizeof(T)) + 2 * kGuard;
    arrays_.push_back({use,
                       rows,
                       columns,
                       stride,
                       sizeof(T),
                       DeviceVector<unsigned char>(static_cast<size_t>(bytes), kPoison),
                       {}});
    return arrays_.back();
  }
  template <typename T>
  static T* start(Array& array) {
    return reinterpret_cast<T*>(array.bytes.data() + kGuard);
  }
  double uniform(int64_t row, int64_t column) const;

  uint32_t seed_;
  std::deque<Array> arrays_;
};

}  // namespace radgpt::kernels
