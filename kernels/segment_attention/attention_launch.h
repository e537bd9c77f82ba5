#pragma once

#include <type_traits>

#include "kernels/primitives/checks.h"
#include "kernels/segment_attention/segment_attention.h"

namespace radgpt::kernels {

// What the launchers of the attention kernels share. Host code.

/// Throws Error kInput unless the device takes such an input.
inline void check_attention_input(const char* who, const AttentionInput<BFloat16>& input) {
  require(input.tokens >= 0 && input.heads > 0, who, ": tokens and heads must be positive, got ",
          input.tokens, " and ", input.heads);
  require(input.head_dim > 0 && input.head_dim <= kMostHeadDim && input.head_dim % 8 == 0, who,
          ": head_dim must be a multiple of 8 up to ", kMostHeadDim, " on a GPU, got ",
          input.head_dim);
  require(input.cosines == nullptr && input.sines == nullptr, who,
          ": q and k come rotated on a GPU, without cosines and sines");
  check_array(who, "qkv", input.qkv, input.tokens);
}

/// Calls f with the smallest width that kernels are compiled for and that holds head_dim.
template <typename F>
void with_width(int64_t head_dim, F&& f) {
  if (head_dim <= 16) return f(std::integral_constant<int, 16>{});
  if (head_dim <= 32) return f(std::integral_constant<int, 32>{});
  if (head_dim <= 64) return f(std::integral_constant<int, 64>{});
  f(std::integral_constant<int, 128>{});
}

}  // namespace radgpt::kernels
