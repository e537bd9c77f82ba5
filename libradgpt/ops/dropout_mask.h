#pragma once

#include "kernels/primitives/dropout_mask.h"
#include "libradgpt/ops/lora_pair.h"

namespace radgpt {

/// The mask of one pair in one forward and backward pass. Throws Error unless pair.dropout is in
/// [0, 1).
kernels::DropoutMask dropout_mask(const LoraPair& pair, const DropoutKey& key);

}  // namespace radgpt
