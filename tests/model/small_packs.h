#pragma once

#include <cstdint>
#include <vector>

#include "libradgpt/base/pack.h"

namespace radgpt {

using Tokens = std::vector<int64_t>;

/// Appends tokens as a segment behind `prefix` (default: alone).
inline Segment add_segment(Pack& pack, const Tokens& tokens, Segment prefix = {}) {
  const auto begin = static_cast<int32_t>(pack.size());
  for (size_t i = 0; i < tokens.size(); ++i) {
    pack.tokens.push_back(tokens[i]);
    pack.positions.push_back(prefix.length() + static_cast<int64_t>(i));
  }
  pack.segments.push_back({begin, static_cast<int32_t>(pack.size()), prefix.begin, prefix.end});
  return pack.segments.back();
}

inline Pack single_pack(const Tokens& tokens) {
  Pack pack;
  add_segment(pack, tokens);
  return pack;
}

inline Tokens joined(Tokens a, const Tokens& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

/// Every row predicts the token that the list gives.
inline void set_targets(Pack& pack, int64_t first_row, const Tokens& targets) {
  for (size_t i = 0; i < targets.size(); ++i) {
    pack.target_rows.push_back(first_row + static_cast<int64_t>(i));
    pack.targets.push_back(targets[i]);
  }
}

}  // namespace radgpt
