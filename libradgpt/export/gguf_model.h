#pragma once

#include <string>
#include <vector>

#include "libradgpt/export/exported_tensor.h"
#include "libradgpt/formats/gguf.h"
#include "libradgpt/formats/sentencepiece_model.h"

namespace radgpt {

/// The architecture that llama.cpp computes a model as. Of `baichuan` it tells the kinds apart by
/// the number of layers alone: 32 is RoPE (7B), 40 is ALiBi (13B), and any other has no positions
/// at all. A RoPE model of another depth is written as `llama`, which computes the same; an ALiBi
/// model of another depth, which nothing there computes, is an Error(kInput).
std::string gguf_architecture(const ModelConfig& config, const std::string& where);

/// The weights under ggml's names. W_pack is split into its thirds, and the rows of q and k are
/// put in the order in which llama.cpp turns pairs, (2i, 2i + 1) instead of (i, i + head_dim / 2):
/// of each head, row i + j * head_dim / 2 becomes row 2i + j. As llama.cpp's own converter does it,
/// for ALiBi too, where it changes nothing. The head is normalised, which llama.cpp does not do.
std::vector<ExportedTensor> gguf_tensors(const Baichuan& model);

/// Matrices in the encoding asked for, norms in fp32.
TensorEncoding gguf_encoding(const ExportedTensor& tensor, TensorEncoding asked);

/// What a GGUF file says about a model of this shape besides its weights: architecture, sizes,
/// vocabulary with scores and types, special ids, chat template. No token is put in front of a
/// text, nor a space. U+2581 in a user-defined piece is written as the space that it stands for.
GgufMetadata gguf_metadata(const ModelConfig& config, const SentencePieceModel& tokenizer,
                           TensorEncoding encoding, const std::string& name);

}  // namespace radgpt
