#pragma once

#include "libradgpt/lora/adapter.h"
#include "libradgpt/model/baichuan.h"

namespace radgpt {

/// W += scale * B A for every pair, computed in fp32 from the masters and rounded once to the
/// model's type. The adapter is taken off: its pairs are gone and the borders are zero.
///
/// In bf16 an update much smaller than the weight is partly lost by the rounding; compare logits.
void merge(Baichuan& model, Adapter& adapter);

}  // namespace radgpt
