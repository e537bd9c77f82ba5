#include "libradgpt/generate/prompt_pack.h"

#include <algorithm>

namespace radgpt {

namespace {

// Ids that both begin with; at least the last id of each stays outside.
int64_t common_beginning(const std::vector<int32_t>& a, const std::vector<int32_t>& b) {
  const auto end = a.begin() + static_cast<int64_t>(std::min(a.size(), b.size()) - 1);
  return std::mismatch(a.begin(), end, b.begin()).first - a.begin();
}

struct Group {
  size_t end = 0;      ///< one past its last prompt
  int64_t shared = 0;  ///< ids all its prompts begin with
};

Group group_from(std::span<const std::vector<int32_t>> prompts, std::span<const int32_t> adapters,
                 size_t begin) {
  const std::vector<int32_t>& first = prompts[begin];
  Group group{.end = begin + 1};
  for (; group.end < prompts.size(); ++group.end) {
    const int64_t common = common_beginning(first, prompts[group.end]);
    if (!adapters.empty() && adapters[group.end] != adapters[begin]) break;
    if (2 * common < static_cast<int64_t>(first.size())) break;
    group.shared = group.shared == 0 ? common : std::min(group.shared, common);
  }
  return group;
}

}  // namespace

void append_segment(Pack& pack, std::span<const int32_t> ids, Segment prefix) {
  const auto begin = static_cast<int32_t>(pack.size());
  const auto count = static_cast<int32_t>(ids.size());
  for (int32_t i = 0; i < count; ++i) {
    pack.tokens.push_back(ids[i]);
    pack.positions.push_back(prefix.length() + i);
  }
  pack.segments.push_back({.begin = begin,
                           .end = begin + count,
                           .prefix_begin = prefix.begin,
                           .prefix_end = prefix.end});
}

PromptPack pack_prompt_ids(std::span<const std::vector<int32_t>> prompts,
                           std::span<const int32_t> adapters) {
  PromptPack result;
  for (size_t begin = 0; begin < prompts.size();) {
    const Group group = group_from(prompts, adapters, begin);
    Segment prefix;
    if (group.shared > 0) {
      append_segment(result.pack, std::span(prompts[begin]).first(group.shared), {});
      result.prompt_of_segment.push_back(-1);
      prefix = result.pack.segments.back();
    }
    for (size_t i = begin; i < group.end; ++i) {
      append_segment(result.pack, std::span(prompts[i]).subspan(group.shared), prefix);
      result.prompt_of_segment.push_back(static_cast<int32_t>(i));
      result.last_rows.push_back(result.pack.size() - 1);
    }
    if (!adapters.empty()) {
      result.pack.adapters.resize(result.pack.segments.size(), adapters[begin]);
    }
    begin = group.end;
  }
  return result;
}

}  // namespace radgpt
