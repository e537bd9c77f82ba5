#pragma once

#include <cstdint>
#include <vector>

#include "kernels/segment_attention/segment_attention.h"
#include "tests/kernels/accuracy.h"
#include "tests/kernels/reference.h"

namespace radgpt::kernels {

/// The segments of a pack, of the given lengths.
struct PackLayout {
  std::vector<Segment> segments;
  std::vector<int64_t> positions;

  PackLayout& root(int32_t length);
  /// A segment whose prefix is segment `of`.
  PackLayout& branch(size_t of, int32_t length);
  int64_t tokens() const { return static_cast<int64_t>(positions.size()); }
};

enum class Bias { kNone, kAlibi };
enum class Rotated { kNo, kYes };

/// Random inputs of attention over a pack and, for the backward pass, dO.
template <typename T>
struct AttentionCase {
  AttentionCase(PackLayout pack, int64_t heads, int64_t head_dim, Bias bias,
                Rotated rotated = Rotated::kNo);
  AttentionCase(const AttentionCase&) = delete;
  AttentionCase& operator=(const AttentionCase&) = delete;

  PackLayout layout;
  std::vector<T> qkv, d_out;
  std::vector<float> slopes, cosines, sines;
  AttentionInput<T> input;  ///< of the above

  int64_t hidden() const { return input.heads * input.head_dim; }
  std::vector<AttentionGroup> groups() const {
    return group_segments(layout.segments, layout.tokens());
  }

  /// What forward and backward pass should write, in plain loops over segments that share no code
  /// with the kernels: "out", "log_sums", "d_qkv".
  Arrays reference(Arithmetic arithmetic) const;
};

}  // namespace radgpt::kernels
