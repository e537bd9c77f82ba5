#pragma once

#include <cstdint>

#include "kernels/primitives/bfloat16.h"
#include "kernels/primitives/dropout_mask.h"

namespace radgpt::kernels {

/// Most adapters of one linear layer: q, k and v of a packed weight.
inline constexpr int kMostAdapters = 3;
/// Largest rank of one adapter.
inline constexpr int kMostRank = 64;

/// How one LoRA adapter reads the input X of its linear layer: S = dropout(X) A^T.
template <typename T>
struct AdapterInput {
  const T* a = nullptr;  ///< [rank, columns], contiguous
  int64_t rank = 0;      ///< 1 to kMostRank
  int64_t column = 0;    ///< its S stands in border columns [column, column + rank)
  DropoutMask mask;
};

/// The adapters that share one input. Border columns that belong to none are zero.
template <typename T>
struct AdapterInputs {
  int count = 0;
  AdapterInput<T> adapters[kMostAdapters];
};

/// What the backward pass of an input makes for its adapters: dA = dS^T dropout(X).
template <typename T>
struct AdapterGradients {
  /// [rows, border] dS, row stride `ds_stride`; each adapter's at its border columns. Null: there
  /// are no adapters.
  const T* ds = nullptr;
  int64_t ds_stride = 0;
  /// Per adapter [rank, columns] contiguous, overwritten; all null when not wanted.
  Compute<T>* da[kMostAdapters] = {};
};

}  // namespace radgpt::kernels
