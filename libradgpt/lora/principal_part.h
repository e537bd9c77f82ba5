#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "libradgpt/ops/lora_pair.h"

namespace radgpt {

/// A weight and the pair that takes over its largest singular values.
struct PrincipalPart {
  at::Tensor weight;  ///< [rows, in], any floating type and strides
  LoraPair pair;
};

/// PiSSA's start (Meng et al., arXiv 2404.02948): with U S V^T the largest `rank` singular values
/// of W and their vectors,
///
///   B = U sqrt(S / scale)     A = sqrt(S / scale) V^T     W -= scale B A
///
/// B and A into the masters of the pair, W rounded once to its type. The singular vectors are found
/// by a randomised iteration (Halko, Martinsson and Tropp, arXiv 0909.4061, algorithms 4.4 and 5.1)
/// from numbers that follow from `seed` and the pair's module. The parts are worked on in parallel,
/// each by one thread, so the result does not depend on how many there are; each thread holds an
/// fp32 copy of one weight.
void take_principal_parts(const std::vector<PrincipalPart>& parts, uint64_t seed);

}  // namespace radgpt
