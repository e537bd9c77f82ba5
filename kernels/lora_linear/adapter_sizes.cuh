#pragma once

#include <algorithm>
#include <type_traits>

#include "kernels/lora_linear/rank_tiles.cuh"
#include "kernels/primitives/checks.h"

namespace radgpt::kernels {

// What the launchers of the LoRA kernels share. Host code.

template <int kValue>
using Size = std::integral_constant<int, kValue>;

/// Calls f(Size<n>) with the smallest n of kLeast, 2 kLeast, 4 kLeast, … kMost that is at least
/// `count`: kernels are compiled for those.
template <int kLeast, int kMost, typename F>
void with_size(int64_t count, F&& f) {
  if constexpr (kLeast < kMost) {
    if (count > kLeast) return with_size<2 * kLeast, kMost>(count, f);
  }
  f(Size<kLeast>{});
}

/// Calls f with the number of adapters (0 to 3) and of the tiles of eight ranks (1, 2, 4, 8) that
/// hold the widest of them.
template <typename F>
void with_adapter_sizes(const AdapterInputs<BFloat16>& inputs, F&& f) {
  if (inputs.count == 0) return f(Size<0>{}, Size<1>{});
  int64_t most = 1;
  for (int i = 0; i < inputs.count; ++i) most = std::max(most, inputs.adapters[i].rank);
  with_size<1, kMostRank / kTileRanks>(divide_up(most, kTileRanks), [&](auto tiles) {
    switch (inputs.count) {
      case 1:
        return f(Size<1>{}, tiles);
      case 2:
        return f(Size<2>{}, tiles);
      default:
        return f(Size<3>{}, tiles);
    }
  });
}

inline void check_adapters(const char* who, const AdapterInputs<BFloat16>& inputs) {
  require(inputs.count >= 0 && inputs.count <= kMostAdapters, who, ": 0 to ", kMostAdapters,
          " adapters, got ", inputs.count);
  for (int i = 0; i < inputs.count; ++i) {
    const AdapterInput<BFloat16>& adapter = inputs.adapters[i];
    require(adapter.rank >= 1 && adapter.rank <= kMostRank, who, ": rank must be in [1, ",
            kMostRank, "], got ", adapter.rank);
    check_array(who, "A", adapter.a, adapter.rank);
  }
}

}  // namespace radgpt::kernels
