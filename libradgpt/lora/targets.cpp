#include "libradgpt/lora/targets.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "libradgpt/base/error.h"

namespace radgpt {

namespace {

constexpr uint32_t kLinears = 5;
constexpr uint32_t kThirds = 3;
constexpr uint32_t kFirstThird = 1u << 16;  // behind the linears of all layers

bool is_all(const std::string& name) { return name == "all" || name == "all-linear"; }

/// Whether `name` ends with `ending`, at the beginning of one of its parts.
bool ends_with_parts(const std::string& name, const std::string& ending) {
  if (!name.ends_with(ending)) return false;
  const size_t before = name.size() - ending.size();
  return !ending.empty() && (before == 0 || name[before - 1] == '.');
}

/// As PEFT matches a key of rank_pattern: a regular expression, of which names use `^`, `$` and an
/// escaped dot at most.
bool fits_pattern(const std::string& name, std::string pattern) {
  for (size_t at; (at = pattern.find("\\.")) != std::string::npos;) pattern.erase(at, 1);
  if (pattern.ends_with('$')) pattern.pop_back();
  if (pattern.starts_with('^')) return name == pattern.substr(1);
  return ends_with_parts(name, pattern);
}

bool is_targeted(const LoraOptions& options, const std::string& name, const LoraTarget& target) {
  return std::any_of(options.targets.begin(), options.targets.end(), [&](const std::string& one) {
    return is_all(one) ? target.kind != LinearKind::kPackedQkv || target.parts == 1
                       : ends_with_parts(name, one);
  });
}

/// A map of patterns, and which of them have fitted a module.
template <typename T>
class Patterns {
 public:
  Patterns(const LoraOptions& options, const char* key, const std::map<std::string, T>& values)
      : options_(options), key_(key), values_(values) {}

  /// The value of the pattern that fits, or the general one.
  T value_of(const std::string& name, T general) {
    const std::string* found = nullptr;
    for (const auto& [pattern, value] : values_) {
      if (!fits_pattern(name, pattern)) continue;
      require(found == nullptr || values_.at(*found) == value, options_.source, ": ", key_,
              ": must have one pattern for ", name, ", got ", found == nullptr ? "" : *found,
              " and ", pattern);
      if (found == nullptr) found = &pattern;
      used_.insert(pattern);
    }
    return found == nullptr ? general : values_.at(*found);
  }

  void require_all_used() const {
    for (const auto& [pattern, value] : values_) {
      require(used_.count(pattern) == 1, options_.source, ": ", key_,
              ": must name targeted modules by the ends of their names, got ", pattern);
    }
  }

 private:
  const LoraOptions& options_;
  const char* key_;
  const std::map<std::string, T>& values_;
  std::set<std::string> used_;
};

void check_layers(const LoraOptions& options, int layers) {
  for (const int64_t layer : options.layers) {
    require(layer >= 0 && layer < layers, options.source, ": layers_to_transform: must be in [0, ",
            layers, "), got ", layer);
  }
}

/// A target that no module has, as a message says it.
void check_targets(const LoraOptions& options, const std::vector<LoraModule>& modules) {
  require(!options.targets.empty(), options.source,
          ": target_modules: must name at least one linear, got none");
  for (const std::string& target : options.targets) {
    const bool known = std::any_of(modules.begin(), modules.end(), [&](const LoraModule& module) {
      return is_all(target) || ends_with_parts(module_name(module), target);
    });
    require(known, options.source,
            ": target_modules: must be among W_pack, q_proj, k_proj, v_proj, o_proj, gate_proj, "
            "up_proj, down_proj, all, got ",
            target);
  }
}

}  // namespace

std::string module_name(const LoraModule& module) {
  return concat("model.layers.", module.layer, ".", module.target->path);
}

uint32_t module_number(const LoraModule& module) {
  const auto layer = static_cast<uint32_t>(module.layer);
  const auto number = static_cast<uint32_t>(module.target->number);
  const bool is_third = module.target->parts == static_cast<int>(kThirds);
  return is_third ? kFirstThird + layer * kThirds + number : layer * kLinears + number;
}

std::vector<LoraModule> find_lora_modules(const LoraOptions& options, int layers,
                                          int64_t highest_rank) {
  check_layers(options, layers);
  std::vector<LoraModule> modules;
  Patterns ranks(options, "rank_pattern", options.rank_pattern);
  Patterns alphas(options, "alpha_pattern", options.alpha_pattern);
  for (int layer = 0; layer < layers; ++layer) {
    const auto& chosen = options.layers;
    if (!chosen.empty() && std::find(chosen.begin(), chosen.end(), layer) == chosen.end()) continue;
    bool whole = false;  // W_pack of this layer
    for (const LoraTarget& target : kLoraTargets) {
      LoraModule module{.layer = layer, .target = &target};
      const std::string name = module_name(module);
      if (!is_targeted(options, name, target)) continue;
      require(!(whole && target.parts == static_cast<int>(kThirds)), options.source,
              ": target_modules: must be W_pack or its parts q_proj, k_proj, v_proj, got both");
      whole |= target.name == "W_pack";
      module.rank = ranks.value_of(name, options.rank);
      require(module.rank >= 1 && module.rank <= highest_rank, options.source,
              ": rank must be in [1, ", highest_rank, "], got ", module.rank, " for ", name);
      module.alpha = alphas.value_of(name, options.alpha);
      const auto rank = static_cast<double>(module.rank);
      module.scale = module.alpha / (options.rslora ? std::sqrt(rank) : rank);
      modules.push_back(module);
    }
  }
  check_targets(options, modules);
  ranks.require_all_used();
  alphas.require_all_used();
  return modules;
}

}  // namespace radgpt
