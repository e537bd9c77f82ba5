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

/// y = x * factor
template <typename T>
void multiply_row(const T* x, const Compute<T>* factor, int64_t n, Compute<T>* y);

/// y += x * factor
template <typename C>
void add_product_row(const C* x, const C* factor, int64_t n, C* y);

/// y += x
template <typename C>
void add_row(const C* x, int64_t n, C* y);

}  // namespace radgpt::kernels
