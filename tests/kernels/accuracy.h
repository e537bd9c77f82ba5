#pragma once

#include <map>
#include <span>
#include <string>
#include <vector>

namespace radgpt::kernels {

/// What a call has written, by name, in double, row after row without the rest of the stride.
using Arrays = std::map<std::string, std::vector<double>>;

/// Passes if `fused` is at most twice as far from the result in double precision as `naive`, the
/// same formula written plainly in the type T, in the 2-norm and in the largest element. So the
/// tolerance follows from the type and the sizes; nobody tunes it. Where `naive` is exact, one
/// rounding of `fused` is allowed.
///
/// For T float, double, BFloat16.
template <typename T>
void expect_as_accurate_as(std::span<const double> naive, std::span<const double> fused,
                           std::span<const double> exact);

/// The same for every array; all three have the same names.
template <typename T>
void expect_as_accurate_as(const Arrays& naive, const Arrays& fused, const Arrays& exact);

}  // namespace radgpt::kernels
