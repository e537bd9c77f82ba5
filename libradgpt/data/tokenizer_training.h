#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "libradgpt/data/tokenizer.h"

namespace radgpt {

/// Ids before the learnt pieces: unknown, <s>, </s>, 1086 user-defined symbols, 256 bytes.
inline constexpr int32_t kFixedPieces = 1345;

/// Trains a small tokenizer laid out as Baichuan2's: BPE over `texts`, the same ids for control,
/// punctuation, reserved and byte pieces, learnt pieces of at most 16 characters from kFixedPieces
/// on. One thread; the same texts give the same bytes.
///
/// `pieces` is the size of the whole vocabulary. Throws Error(kInput) if it leaves no room for the
/// characters of the texts, or if the texts are too few to fill it (the message gives the largest
/// size that they fill).
Tokenizer train_tokenizer(const std::vector<std::string>& texts, int32_t pieces);

}  // namespace radgpt
