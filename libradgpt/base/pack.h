#pragma once

#include <cstdint>
#include <vector>

namespace radgpt {

/// A run of tokens [begin, end) of a pack that attends causally to itself and fully to the tokens
/// [prefix_begin, prefix_end) of the same pack. An empty prefix is plain packing; a non-empty one
/// is a branch (question and answer) that hangs off a text computed once (the report).
/// The prefix range is always a whole other segment that ends before `begin`.
struct Segment {
  int32_t begin = 0;
  int32_t end = 0;
  int32_t prefix_begin = 0;
  int32_t prefix_end = 0;

  int32_t length() const { return end - begin; }
  int32_t prefix_length() const { return prefix_end - prefix_begin; }
};

/// One example inside a pack.
struct PackedExample {
  int32_t example = 0;     ///< index in the TokenDataset
  int32_t answer_row = 0;  ///< row of the assistant token: its hidden state has read the prompt
};

/// A micro-batch: a flat list of tokens without padding. All examples in it are whole.
///
/// Row i of the model's output predicts the token after tokens[i]; `target_rows[k]` is a row with
/// loss (ascending) and `targets[k]` the id it must predict. Rows of context and question have
/// no target. The end-of-text id is only ever a target.
struct Pack {
  std::vector<int64_t> tokens;
  std::vector<int64_t> positions;  ///< of a branch: go on from the end of its prefix
  std::vector<int64_t> target_rows;
  std::vector<int64_t> targets;
  std::vector<float> target_weights;  ///< of each target in the loss; empty: all 1
  std::vector<Segment> segments;      ///< ascending, disjoint, covering all tokens
  /// Number of the adapter that each segment takes (AdapterSet), -1: none; a branch that of its
  /// prefix. Empty: all take the enabled one. For inference.
  std::vector<int32_t> adapters;
  std::vector<PackedExample> examples;

  int64_t size() const { return static_cast<int64_t>(tokens.size()); }
};

}  // namespace radgpt
