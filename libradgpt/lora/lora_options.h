#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace radgpt {

/// What A and B are before training. B A must be 0 at first, or be taken out of the base.
enum class LoraStart {
  kUniform,  ///< A ~ U(-1/sqrt(in), 1/sqrt(in)), B = 0
  /// PiSSA (Meng et al., arXiv 2404.02948): B A is the best approximation of W of that rank, which
  /// is taken out of the base. Saved as a plain adapter of twice the rank for the base as it was.
  kPissa,
};

/// What an adapter is made of; the fields of PEFT's adapter_config.json that change what it
/// computes, and what only its training takes.
struct LoraOptions {
  int64_t rank = 8;
  double alpha = 16;
  double dropout = 0.05;
  /// Any of W_pack, o_proj, gate_proj, up_proj, down_proj; q_proj, k_proj and v_proj instead of
  /// W_pack; or longer ends of module names (`layers.3.self_attn.W_pack`). `all` and PEFT's
  /// `all-linear` stand for the first five.
  std::vector<std::string> targets = {"W_pack"};
  bool rslora = false;  ///< scale alpha / sqrt(rank) (arXiv 2312.03732) instead of alpha / rank
  /// DoRA (Liu et al., arXiv 2402.09353): each row of W + scale B A takes a trained length.
  bool dora = false;
  /// Rank or alpha of modules whose name ends so, `W_pack` or `layers.3.self_attn.W_pack`; `^`
  /// before a whole name. For others the ones above. A module may fit one pattern only.
  std::map<std::string, int64_t> rank_pattern = {};
  std::map<std::string, double> alpha_pattern = {};
  std::vector<int64_t> layers = {};  ///< numbers of the layers that get pairs; empty: all
  /// Where they come from, for messages: adapter_config.json of a folder, or "adapter".
  std::string source = "adapter";
  // Of training alone:
  LoraStart start = LoraStart::kUniform;
  /// LoRA+ (Hayou et al., arXiv 2402.12354): learning rate of B as a multiple of the run's.
  double loraplus_ratio = 1.0;
};

}  // namespace radgpt
