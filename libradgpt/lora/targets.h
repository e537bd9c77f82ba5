#pragma once

#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "libradgpt/model/baichuan.h"

namespace radgpt {

/// A linear of a layer that can have a low-rank pair.
struct LoraTarget {
  std::string_view name;  ///< as in recipes and in PEFT's target_modules
  std::string_view path;  ///< inside `model.layers.I.`
  LinearKind kind;
  int part = 0;   ///< which of the layers stacked in the linear
  int parts = 1;  ///< how many are stacked
};

inline constexpr std::array<LoraTarget, 5> kLoraTargets = {{
    {"W_pack", "self_attn.W_pack", LinearKind::kPackedQkv},
    {"o_proj", "self_attn.o_proj", LinearKind::kAttentionOutput},
    {"gate_proj", "mlp.gate_proj", LinearKind::kGateUp, 0, 2},
    {"up_proj", "mlp.up_proj", LinearKind::kGateUp, 1, 2},
    {"down_proj", "mlp.down_proj", LinearKind::kDown},
}};

/// Indices in kLoraTargets, ascending, each once; `all` stands for all of them. Throws
/// Error(kInput) for an unknown name or none at all.
std::vector<int> find_lora_targets(const std::vector<std::string>& names);

}  // namespace radgpt
