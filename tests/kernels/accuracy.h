#pragma once

#include <map>
#include <span>
#include <string>
#include <vector>

namespace radgpt::kernels {

/// What a call should write, by name, in double, row after row without the rest of the stride.
using Arrays = std::map<std::string, std::vector<double>>;

/// Half of the distance from 1 to the next number of a type; in double, where there is nothing more
/// precise to compare with, what a thousand of them may add up to. For T float, double, BFloat16.
template <typename T>
double rounding_of();

/// One array that a call has written, in double.
struct WrittenArray {
  std::vector<double> values;
  double rounding;  ///< of the type it was written in

  bool operator==(const WrittenArray&) const = default;
};

template <typename T>
WrittenArray written_array(const std::vector<T>& values) {
  return {{values.begin(), values.end()}, rounding_of<T>()};
}

using WrittenArrays = std::map<std::string, WrittenArray>;

/// Passes if `fused` is at most twice as far from the result in double precision as `naive`, the
/// same formula written plainly in its types, and one rounding of each element, in the 2-norm: a
/// sum of few terms may be exact in `naive` by chance. The largest error may be four times that of
/// `naive`: of a dozen errors it scatters that much between two orders of adding, and what is wrong
/// in one element is out by far more. So the tolerance follows from types and sizes; nobody tunes
/// it.
void expect_as_accurate_as(std::span<const double> naive, const WrittenArray& fused,
                           std::span<const double> exact);

/// The same for every array; all three have the same names.
void expect_as_accurate_as(const Arrays& naive, const WrittenArrays& fused, const Arrays& exact);

}  // namespace radgpt::kernels
