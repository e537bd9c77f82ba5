#pragma once

#include <ATen/core/Tensor.h>

#include "libradgpt/ops/lora_pair.h"

namespace radgpt {

/// Writes the 2-norm of each row of W + scale B A in fp32, from the masters of `pair`, whatever the
/// number of threads: the length by which DoRA divides (Liu et al., arXiv 2402.09353, equation 5).
///
///   weight  [rows, in]   the rows of the pair, any floating type
///   norms   [rows] fp32
void write_row_norms(const at::Tensor& weight, const LoraPair& pair, at::Tensor norms);

}  // namespace radgpt
