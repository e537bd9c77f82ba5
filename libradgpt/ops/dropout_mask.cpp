#include "libradgpt/ops/dropout_mask.h"

#include "libradgpt/base/error.h"
#include "libradgpt/base/random.h"

namespace radgpt {

kernels::DropoutMask dropout_mask(const LoraPair& pair, const DropoutKey& key) {
  require(pair.dropout >= 0.0 && pair.dropout < 1.0, "dropout must be in [0, 1), got ",
          pair.dropout);
  kernels::DropoutMask mask;
  if (!key.active || pair.dropout == 0.0) return mask;
  const auto mixed =
      philox({static_cast<uint32_t>(key.step), static_cast<uint32_t>(key.step >> 32), 0,
              static_cast<uint32_t>(RandomStream::kDropout)},
             {static_cast<uint32_t>(key.seed), static_cast<uint32_t>(key.seed >> 32)});
  mask.key = {mixed[0], mixed[1]};
  mask.pack = key.pack;
  mask.module = pair.module;
  mask.drop(pair.dropout);
  return mask;
}

}  // namespace radgpt
