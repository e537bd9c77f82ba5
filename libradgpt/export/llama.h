#pragma once

#include <string>
#include <vector>

#include "libradgpt/export/exported_tensor.h"

namespace radgpt {

/// Throws Error(kInput) unless the model is of the RoPE (7B) kind: LLaMA has no ALiBi.
void require_llama_kind(const ModelConfig& config, const std::string& where);

/// The weights under LLaMA's names: W_pack in its thirds q_proj, k_proj, v_proj, all else as it is.
/// With lm_head normalised, which it is here, a LLaMA model computes the same logits: both turn
/// pairs (i, i + head_dim / 2).
std::vector<ExportedTensor> llama_tensors(const Baichuan& model);

/// Writes config.json of a LlamaForCausalLM of this shape, whose weights are stored as `dtype`.
void write_llama_config(const std::string& path, const ModelConfig& config, DataType dtype);

}  // namespace radgpt
