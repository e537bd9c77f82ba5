#pragma once

#include <cstdint>

#include "kernels/primitives/bfloat16.h"
#include "kernels/primitives/stream.h"
#include "kernels/primitives/workers.h"

namespace radgpt::kernels {

/// Cross-entropy of rows of logits and, in their place, its gradient:
///
///   log_probabilities[row] = log softmax(logits[row])[targets[row]]
///   logits[row]            = factors[row] (softmax(logits[row]) - one_hot(targets[row]))
///
/// with exponentials and sums in Compute<T> and one rounding. Rows are independent.
template <typename T>
struct CrossEntropy {
  int64_t rows = 0;
  int64_t vocabulary = 0;
  T* logits = nullptr;  ///< [rows, vocabulary], row stride `stride`
  int64_t stride = 0;
  const int64_t* targets = nullptr;         ///< [rows], in [0, vocabulary): the caller's promise
  const Compute<T>* factors = nullptr;      ///< [rows]; null: logits stay as they are
  Compute<T>* log_probabilities = nullptr;  ///< [rows]
};

/// For T float, double, BFloat16.
template <typename T>
void cross_entropy_cpu(const CrossEntropy<T>& call, const Workers& workers);

/// On device memory; enqueues on `stream` and does not wait. `logits` is aligned to 16 bytes and
/// `stride` a multiple of 8; the vocabulary need not be. Reads each row twice, the second time from
/// the cache, and writes it once. Throws Error kInput otherwise, kEnvironment when the launch
/// fails.
void cross_entropy_cuda(const CrossEntropy<BFloat16>& call, Stream stream);

}  // namespace radgpt::kernels
