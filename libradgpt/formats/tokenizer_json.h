#pragma once

#include <string>

#include "libradgpt/formats/sentencepiece_model.h"

namespace radgpt {

/// The same tokenizer as tokenizer.json of Hugging Face's `tokenizers` (model BPE, byte fallback),
/// which transformers loads without sentencepiece:
///
///   merges        every split of a normal piece into two normal ones, by the score of the whole
///   added tokens  control pieces (special) and user-defined ones, which never merge
///   normaliser    a space becomes U+2581; nothing is put in front
///
/// Gives sentencepiece's ids except where two different pieces of one score overlap in a text:
/// sentencepiece takes the left one, `tokenizers` the one of the lower id. `<s>`, `</s>` and
/// `<unk>` in a text become their ids, as in Hugging Face's own Baichuan2 tokenizer.
std::string tokenizer_json(const SentencePieceModel& model);

}  // namespace radgpt
