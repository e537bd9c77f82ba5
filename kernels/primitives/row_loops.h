#pragma once

#include <cstdint>

#include "kernels/primitives/lanes.h"

namespace radgpt::kernels {

// Element-wise loops over one row of n elements, for T float, double and bfloat16.

/// y = x
template <typename T>
void widen_row(const T* x, int64_t n, Compute<T>* y);

/// y = factor * x, rounded
template <typename T>
void round_row(const Compute<T>* x, int64_t n, T* y, Compute<T> factor = 1);

/// y = x where the bit of an element is set in `kept` (bit i % 64 of word i / 64), else 0
template <typename T>
void widen_kept_row(const T* x, const uint64_t* kept, int64_t n, Compute<T>* y);

/// y += factor * x
template <typename C>
void add_row(const C* x, int64_t n, C* y, C factor = 1);

/// y += factor * x where the bit of an element is set in `kept`
template <typename C>
void add_kept_row(const C* x, const uint64_t* kept, int64_t n, C* y, C factor);

}  // namespace radgpt::kernels
