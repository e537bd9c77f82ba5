#pragma once

#include <string>
#include <vector>

#include "libradgpt/config/faults.h"
#include "libradgpt/formats/yaml.h"

namespace radgpt {

/// Lays arguments PATH=VALUE over a tree: "lora.rank=16" replaces or adds that entry,
/// "tasks.1.name" goes to the second item of a list. VALUE is YAML; nothing stands for an empty
/// text. Replaced nodes have the argument as their place.
void apply_overrides(const std::vector<std::string>& arguments, YamlNode& root, Faults& faults);

}  // namespace radgpt
