#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "libradgpt/ops/segment_attention.h"

namespace radgpt {

/// Rotated keys and values of one layer for generation: row s belongs to sequence s, of which the
/// first entries are filled.
struct LayerCache {
  at::Tensor keys;    ///< [sequences, capacity, hidden]
  at::Tensor values;  ///< [sequences, capacity, hidden]
};

/// Which tokens of a forward pass become which entries of the caches of all layers, in memory of
/// their device, to which it is copied once a pass.
struct CachePlacement {
  at::Tensor tokens;        ///< [count] int32: rows of qkv
  at::Tensor rows;          ///< [count] int64: entry e of sequence s is s * capacity + e
  at::Tensor entries;       ///< of next tokens only, [count] int32: filled ones with the new one
  at::Tensor sequences;     ///< of next tokens only, [count] int32
  int64_t pass_tokens = 0;  ///< rows of qkv
  int64_t cache_sequences = 0;
  int64_t capacity = 0;
};

/// Rows of segment i, and of its prefix before them, become entries 0, 1, … of sequence
/// sequence_of_segment[i]; -1: not cached. Throws Error(kInput) where a cache like `cache` has no
/// room.
CachePlacement place_segments(const std::vector<Segment>& segments,
                              const std::vector<int32_t>& sequence_of_segment,
                              const LayerCache& cache);

/// Row i of qkv becomes entry lengths[i] of sequence sequences[i]. Throws Error likewise.
CachePlacement place_next_tokens(const std::vector<int32_t>& sequences,
                                 const std::vector<int32_t>& lengths, const LayerCache& cache);

/// As segment_attention without gradients, and fills the cache.
at::Tensor prefill_attention(const at::Tensor& qkv, const at::Tensor& positions,
                             const AttentionLayout& layout, int64_t heads,
                             const PositionEncoding& encoding, const CachePlacement& placement,
                             LayerCache& cache);

/// One new token per sequence, without gradients: writes its key and value into the cache and
/// attends to the entries of its sequence up to itself. Row i of qkv stands at positions[i];
/// entries stand at consecutive positions ending there.
at::Tensor cached_attention(const at::Tensor& qkv, const at::Tensor& positions, int64_t heads,
                            const PositionEncoding& encoding, const CachePlacement& placement,
                            LayerCache& cache);

}  // namespace radgpt
