#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "libradgpt/base/pack.h"

namespace radgpt {

/// Pack::adapters for every row; empty if it is. Throws Error(kInput) unless it has one number a
/// segment and branches have that of their prefix.
std::vector<int32_t> adapter_of_row(const Pack& pack);

/// Rows (int64, ascending) of each of `choices` adapters, for LoraPass::rows_of_choice; empty if
/// `adapters` is. Throws Error(kInput) for a number outside [-1, choices).
std::vector<at::Tensor> rows_of_choice(const std::vector<int32_t>& adapters, int choices,
                                       at::Device device);

}  // namespace radgpt
