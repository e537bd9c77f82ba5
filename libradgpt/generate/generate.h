#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "libradgpt/generate/sampling.h"
#include "libradgpt/model/baichuan.h"

namespace radgpt {

/// How answers are drawn, and when they end.
struct GenerationOptions {
  int64_t max_new_tokens = 256;
  SamplingOptions sampling = {};
  /// End of text and the two roles of the chat format: any of them ends an answer.
  std::vector<int32_t> stop_ids = {2, 195, 196};
  /// Sequences computed at a time; bounds the memory of the cache.
  int64_t batch = 32;
  /// Number of the adapter that each prompt takes (AdapterSet), -1: none. Empty: all take the
  /// enabled one, which is faster.
  std::vector<int32_t> adapters = {};
};

/// An answer: the new ids, without the stop id.
struct Generation {
  std::vector<int32_t> ids;
  bool stopped = false;  ///< false: max_new_tokens or the model's max length was reached
};

/// Called after each finished answer with how many are done; for progress lines.
using GenerationProgress = std::function<void(int64_t done)>;

/// Goes on after each prompt (ids that end with the assistant token), with a cache of keys and
/// values. Prompts that begin alike share that beginning's computation where they start together; a
/// finished sequence leaves at once and the next prompt takes its place.
///
/// The draws of prompt i depend on (seed, i) only. Results do not depend on `batch`, except where
/// two tokens are equal to the accuracy of the model's type (a product's rounding depends on how
/// many rows are multiplied together).
/// Throws Error(kInput) for adapters that are not one a prompt, an empty prompt, one not shorter
/// than the model's max length, or an id outside the vocabulary.
std::vector<Generation> generate(const Baichuan& model,
                                 const std::vector<std::vector<int32_t>>& prompts,
                                 const GenerationOptions& options,
                                 const GenerationProgress& progress = {});

}  // namespace radgpt
