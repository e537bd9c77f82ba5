#include "libradgpt/lora/targets.h"

#include <set>

#include "libradgpt/base/error.h"

namespace radgpt {

std::vector<int> find_lora_targets(const std::vector<std::string>& names) {
  require(!names.empty(), "adapter: targets must name at least one linear, got none");
  std::set<int> found;
  for (const std::string& name : names) {
    bool known = false;
    for (int i = 0; i < static_cast<int>(kLoraTargets.size()); ++i) {
      if (name != "all" && name != kLoraTargets[i].name) continue;
      found.insert(i);
      known = true;
    }
    require(known, "adapter: targets must be among W_pack, o_proj, gate_proj, up_proj, down_proj, ",
            "all, got ", name);
  }
  return {found.begin(), found.end()};
}

}  // namespace radgpt
