#pragma once

#include <algorithm>
#include <cstdint>

namespace radgpt::kernels {

/// Rows that are summed over are cut into parts, whatever the number of workers: each part is
/// summed in order by one worker, and the parts are added in order afterwards.
struct RowParts {
  int64_t rows;
  int64_t count;  ///< of parts

  explicit RowParts(int64_t row_count)
      : rows(row_count), count(std::clamp<int64_t>(row_count / kFewestRows, 1, kMost)) {}
  int64_t begin(int64_t part) const { return rows * part / count; }
  int64_t end(int64_t part) const { return begin(part + 1); }

 private:
  static constexpr int64_t kMost = 32;
  static constexpr int64_t kFewestRows = 128;
};

}  // namespace radgpt::kernels
