#pragma once

#include <cstdint>

namespace radgpt::kernels {

/// Steps that cover n.
constexpr int64_t divide_up(int64_t n, int64_t step) { return (n + step - 1) / step; }
/// The smallest multiple of `step` that is at least n.
constexpr int64_t round_up(int64_t n, int64_t step) { return divide_up(n, step) * step; }

}  // namespace radgpt::kernels
