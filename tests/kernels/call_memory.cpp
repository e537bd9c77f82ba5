#include "tests/kernels/call_memory.h"

#include <cstring>
#include <utility>

#include "libradgpt/base/philox.h"
#include "tests/catch.h"

namespace radgpt::kernels {

std::vector<double> CallMemory::random(int64_t rows, int64_t columns, double size) const {
  std::vector<double> values;
  for (int64_t i = 0; i < rows * columns; ++i) {
    const auto words =
        philox({static_cast<uint32_t>(i % columns), static_cast<uint32_t>(i / columns),
                static_cast<uint32_t>(arrays_.size() + 1), 0},
               {seed_, 0});
    values.push_back(size * (words[0] * 0x1p-31 - 1.0));
  }
  return values;
}

unsigned char* CallMemory::add(Array array) {
  const auto count = static_cast<int64_t>(array.bytes.size());
  const std::string number = std::to_string(arrays_.size());
  if (array.use == Use::kInput) {
    array.name = "input " + number;
    array.begin = const_cast<unsigned char*>(memory_.input(array.name, array.bytes));
  } else if (array.use == Use::kInPlace) {
    array.name = "in place " + number;
    array.begin = memory_.in_place(array.name, array.bytes);
  } else {
    array.name = "output " + number;
    array.begin = memory_.output<unsigned char>(array.name, count);
  }
  arrays_.push_back(std::move(array));
  return arrays_.back().begin;
}

CallMemory::Array& CallMemory::array_at(const void* begin) {
  const auto found = std::find_if(arrays_.begin(), arrays_.end(),
                                  [&](const Array& array) { return array.begin == begin; });
  REQUIRE(found != arrays_.end());
  return *found;
}

std::nullptr_t CallMemory::leave(const void* output) {
  array_at(output).columns = 0;
  return nullptr;
}

Workspace CallMemory::workspace(size_t bytes) {
  const std::string name = "workspace " + std::to_string(++workspaces_);
  return {memory_.output<unsigned char>(name, static_cast<int64_t>(bytes)), bytes};
}

void CallMemory::expect_written() const {
  int64_t forgotten = 0, outside = 0, changed = 0;
  const auto poisoned = [](const unsigned char* bytes, int64_t count) {
    return std::all_of(bytes, bytes + count, [](unsigned char byte) { return byte == kPoison; });
  };
  for (const Array& array : arrays_) {
    const std::vector<unsigned char> bytes = memory_.values<unsigned char>(array.name);
    if (array.use == Use::kInput) {
      changed += bytes != array.bytes;
      continue;
    }
    const int64_t inside = array.columns * array.element, row_bytes = array.stride * array.element;
    const unsigned char* row = bytes.data();
    for (int64_t i = 0; i < array.rows; ++i, row += row_bytes) {
      for (int64_t at = 0; at < inside; at += array.element) {
        forgotten += poisoned(row + at, array.element);
      }
      outside += !poisoned(row + inside, row_bytes - inside);
    }
  }
  CHECK(forgotten == 0);
  CHECK(outside == 0);
  CHECK(changed == 0);
}

std::vector<unsigned char> CallMemory::outputs() const {
  std::vector<unsigned char> all;
  for (const Array& array : arrays_) {
    if (array.use == Use::kInput) continue;
    const std::vector<unsigned char> bytes = memory_.values<unsigned char>(array.name);
    all.insert(all.end(), bytes.begin(), bytes.end());
  }
  return all;
}

void CallMemory::reset() {
  for (const Array& array : arrays_) {
    if (array.use == Use::kInput || array.bytes.empty()) continue;
    std::memcpy(array.begin, array.bytes.data(), array.bytes.size());
  }
}

}  // namespace radgpt::kernels
