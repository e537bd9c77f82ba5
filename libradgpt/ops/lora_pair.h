#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

namespace radgpt {

/// Columns kept free behind a weight and behind the input that meets it: whole 64-wide tiles.
inline constexpr int64_t kBorderTile = 64;

/// One low-rank update  W[row_begin:row_end, :] += scale * B A  of a bordered weight.
struct LoraPair {
  at::Tensor a;         ///< [rank, in] in the type of the model; written by ParameterStore::publish
  at::Tensor a_master;  ///< [rank, in] fp32 leaf: receives the gradient
  at::Tensor b_master;  ///< [row_end - row_begin, rank] fp32 leaf: receives the gradient
  double scale = 1.0;   ///< alpha / rank, or alpha / sqrt(rank) for rsLoRA
  double dropout = 0.0;  ///< probability to drop an element of the input of A, in steps of 2^-16
  uint32_t module = 0;   ///< number of this pair in the model; part of the mask's counter
  int64_t row_begin = 0;
  int64_t row_end = 0;
  int64_t column = 0;  ///< its S and scale * B stand in border columns [column, column + rank)
  // DoRA (arXiv 2402.09353), undefined without: the result's columns of these rows are multiplied
  // by magnitude / row_norms, of which the latter is taken as a constant by gradients.
  at::Tensor magnitude_master = {};  ///< [row_end - row_begin] fp32 leaf
  at::Tensor row_norms = {};         ///< same shape, fp32: 2-norms of the rows of W + scale B A

  int64_t rank() const { return a.size(0); }
};

/// A frozen linear layer with room for adapters at its right border:
///
///   storage = [ W | scale * B ]     [out, in + border], row stride in + border
///
/// so that Y = [X | S] storage^T with S = dropout(X) A^T is one matrix product. Border columns
/// that belong to no pair are zero. `border` is a multiple of kBorderTile (0: no room).
struct BorderedWeight {
  at::Tensor storage;
  int64_t in_features = 0;
  std::vector<LoraPair> pairs;
  /// Pairs of the adapters that the rows of a batch may choose among, by number (LoraPass).
  std::vector<std::vector<LoraPair>> choices = {};
  at::Tensor master;  ///< [out, in] fp32 leaf when W itself is trained, else undefined
  /// [out, border]: what the border is written from whenever storage gets memory, where that comes
  /// and goes (a sharded base); else undefined.
  at::Tensor kept_border = {};

  int64_t out_features() const { return storage.size(0); }
  int64_t border() const { return storage.size(1) - in_features; }
  at::Tensor weight() const { return storage.narrow(1, 0, in_features); }
  /// View [rows of the pair, rank] of where scale * B is kept: of kept_border if there is one, else
  /// of the border.
  at::Tensor scaled_b(const LoraPair& pair) const {
    const bool kept = kept_border.defined();
    return (kept ? kept_border : storage)
        .narrow(0, pair.row_begin, pair.row_end - pair.row_begin)
        .narrow(1, (kept ? 0 : in_features) + pair.column, pair.rank());
  }
};

/// Where the noise of one forward and backward pass comes from: dropout masks, and NEFTune's on
/// embeddings. Element (row, column) of a pair's mask is a function of seed, step and pack, the
/// pair's module, row and column (Philox), never of threads, ranks or what ran before.
struct DropoutKey {
  uint64_t seed = 0;
  uint64_t step = 0;
  uint32_t pack = 0;           ///< index of the pack in the global batch of the step
  bool active = false;         ///< false: no noise (evaluation)
  double neftune_alpha = 0.0;  ///< see Baichuan::forward
};

/// What a linear layer is told of a pass beside x and its own numbers.
struct LoraPass {
  LoraPass(DropoutKey key = {}) : dropout(key) {}

  DropoutKey dropout;
  /// Rows (int64, ascending) that take each of BorderedWeight::choices, by number; rows in none are
  /// computed without adapter. Empty: all rows take the enabled pairs. For inference only.
  std::vector<at::Tensor> rows_of_choice;
};

}  // namespace radgpt
