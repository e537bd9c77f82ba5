#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "libradgpt/config/recipe.h"
#include "libradgpt/formats/model_config.h"

namespace radgpt {

/// One line of a memory table.
struct MemoryRow {
  std::string what;
  int64_t bytes = 0;
  std::string how;  ///< the product that gives it
};

/// Numbers that a run trains: all weights, or A [rank, in] and B [out, rank] of every target, and
/// DoRA's [out].
int64_t trained_parameters(const Recipe& recipe, const ModelConfig& model);

/// What a run holds at the same time, by arithmetic alone. h hidden, f intermediate, L layers,
/// V vocabulary, N trained parameters, b bytes of a weight of `type`:
///
///   weights       parameters * b; with the linears of the layers sharded over r ranks, those of
///                 embedding, head and norms, and of each linear [out, in] ceil(out / r) rows
///   whole layers  sharded: the linears of two layers, the one at work with its border, and the one
///                 that is gathered ahead, which Gloo holds twice (any model.device but cuda)
///   border        adapter: a 64-wide tile of columns behind each targeted weight, and A in `type`
///   state         4 N fp32 (masters, gradients, two moments), and N for each partial sum of the
///                 gradients of a step's packs, for the best state under early_stop and for the
///                 start of pissa
///   activations   pack_tokens * L * (6 h + 2 f) * b: what a layer keeps for backward (its input,
///                 qkv, the output of attention, the input of the MLP, gate and up); with DoRA
///                 the rows of every adapted linear beside them
///   gradients     pack_tokens * (4 h + 5 f) * b: what the backward pass of one layer holds
///
/// Left out: the logits of one chunk of the loss, the data set, LibTorch itself. `shards`: ranks
/// over which the base is sharded, of which this is one; 1: each has it whole.
std::vector<MemoryRow> training_memory(const Recipe& recipe, const ModelConfig& model,
                                       DataType type, int64_t shards = 1);

/// What generation holds beside weights and border: keys and values, 2 L h b a token, of
/// evaluate.batch sequences of the longest prompt, model.max_length, and the longest answer,
/// evaluate.max_new_tokens, together no longer than the base allows; an upper bound.
MemoryRow generation_memory(const Recipe& recipe, const ModelConfig& model, DataType type);

/// Floating-point operations of forward and backward pass: 2 per weight and token and product, of
/// which there are two with frozen weights (output, gradient of the input) and three with trained
/// ones; the head sees targets only. The products inside attention and of the adapter are left out.
double training_operations(const Recipe& recipe, const ModelConfig& model, int64_t tokens,
                           int64_t targets);

}  // namespace radgpt
