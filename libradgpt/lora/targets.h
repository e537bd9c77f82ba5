#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "libradgpt/lora/lora_options.h"
#include "libradgpt/model/baichuan.h"

namespace radgpt {

/// A linear of a layer, or the rows of one, that can have a low-rank pair.
struct LoraTarget {
  std::string_view name;  ///< as in recipes and in PEFT's target_modules
  std::string_view path;  ///< inside `model.layers.I.`
  LinearKind kind;
  int part = 0;    ///< which of the layers stacked in the linear
  int parts = 1;   ///< how many are stacked
  int number = 0;  ///< of the five linears of a layer, or of the three parts of W_pack
};

/// In the order of their linears; those of one linear side by side. q_proj, k_proj and v_proj are
/// the thirds of W_pack, named as in a model whose W_pack was split (LLaMA's layout).
inline constexpr std::array<LoraTarget, 8> kLoraTargets = {{
    {"W_pack", "self_attn.W_pack", LinearKind::kPackedQkv, 0, 1, 0},
    {"q_proj", "self_attn.q_proj", LinearKind::kPackedQkv, 0, 3, 0},
    {"k_proj", "self_attn.k_proj", LinearKind::kPackedQkv, 1, 3, 1},
    {"v_proj", "self_attn.v_proj", LinearKind::kPackedQkv, 2, 3, 2},
    {"o_proj", "self_attn.o_proj", LinearKind::kAttentionOutput, 0, 1, 1},
    {"gate_proj", "mlp.gate_proj", LinearKind::kGateUp, 0, 2, 2},
    {"up_proj", "mlp.up_proj", LinearKind::kGateUp, 1, 2, 3},
    {"down_proj", "mlp.down_proj", LinearKind::kDown, 0, 1, 4},
}};

/// One targeted linear of one layer.
struct LoraModule {
  int layer = 0;
  const LoraTarget* target = nullptr;
  int64_t rank = 0;
  double alpha = 0;
  double scale = 0;  ///< alpha / rank, or alpha / sqrt(rank) for rsLoRA
};

/// The modules that options ask for in a model of `layers` layers, layer by layer in the order of
/// kLoraTargets. Throws Error(kInput) for a target, a layer or a pattern that fits none, for two
/// patterns that fit one module, for W_pack beside its parts, and for a rank outside
/// [1, highest_rank]. Messages begin with options.source.
std::vector<LoraModule> find_lora_modules(const LoraOptions& options, int layers,
                                          int64_t highest_rank);

/// What stands before module_name and head names in PEFT's tensor names.
inline constexpr std::string_view kPeftPrefix = "base_model.model.";

/// Name of a module in the model, `model.layers.I.PATH`.
std::string module_name(const LoraModule& module);

/// Number of a module among all there can be: names its dropout masks and first numbers.
uint32_t module_number(const LoraModule& module);

}  // namespace radgpt
