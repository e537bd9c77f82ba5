#pragma once

#include <string>

namespace radgpt {

/// How a checkpoint names the projection to queries, keys and values.
enum class ProjectionNames {
  kPacked,  ///< W_pack, as Baichuan2 has it
  kSplit,   ///< q_proj, k_proj, v_proj, as LLaMA has it and a "LLaMA-fied" Baichuan2
};

/// Writes the adapter of the folder `from` for a base of the other kind into the folder `to`, made
/// if absent. What it computes stays; other linears and heads are copied.
///
/// To packed: of three thirds with one A, W_pack takes A and the B of the thirds above each other;
/// with an A each, the A above each other and B in blocks, at the sum of their ranks. A third
/// without pair has zeros in B. To split: each third takes A and its rows of B, without the columns
/// of B that belong to the other thirds. There and back gives the same bytes of a file in fp32 in
/// which every third has a pair whose B is not zero, unless ranks or alphas were written another
/// way.
///
/// Throws Error(kInput) as reading the adapter does, for tensors that do not belong to its config,
/// and for DoRA on some of the thirds only, whose lengths would be those of the base.
void convert_adapter(const std::string& from, const std::string& to, ProjectionNames names);

}  // namespace radgpt
