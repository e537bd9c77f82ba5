#include "libradgpt/data/packing.h"

#include <algorithm>
#include <numeric>

#include "libradgpt/base/error.h"
#include "libradgpt/base/random.h"

namespace radgpt {
namespace {

/// Packs that are open at a time. More fill better; 64 fill packs of real reports to 99 %.
constexpr size_t kOpenPacks = 64;

/// Examples that stay together, and the tokens they take.
using Unit = PackPlan;

int32_t branch_tokens(const TokenDataset& dataset, int32_t example) {
  return static_cast<int32_t>(dataset.examples[static_cast<size_t>(example)].branch.size());
}

/// The units of a group: one, or several where it is longer than a pack.
void add_units(const TokenDataset& dataset, const TokenGroup& group, const PackingOptions& options,
               std::vector<Unit>& units) {
  const auto prefix = static_cast<int32_t>(group.prefix.size());
  bool open = false;
  for (int32_t example = group.begin; example < group.end; ++example) {
    const int32_t branch = branch_tokens(dataset, example);
    require(prefix + branch <= options.pack_tokens, "packing: example ", example,
            " must have at most pack_tokens = ", options.pack_tokens, " tokens, got ",
            prefix + branch);
    const bool joins = open && !group.prefix.empty() && options.sharing == Sharing::kShared &&
                       units.back().tokens + branch <= options.pack_tokens;
    if (!joins) units.push_back({{}, prefix});
    units.back().examples.push_back(example);
    units.back().tokens += branch;
    open = true;
  }
}

void shuffle(std::vector<Unit>& units, uint64_t seed, int64_t epoch) {
  Random random(seed, RandomStream::kOrder, static_cast<uint64_t>(epoch));
  for (size_t left = units.size(); left > 1; --left) {
    std::swap(units[left - 1], units[random.next_below(static_cast<uint32_t>(left))]);
  }
}

enum class Branches { kWhole, kPrompt };

/// Lays examples into a pack one after the other.
class PackWriter {
 public:
  PackWriter(const TokenDataset& dataset, Branches branches)
      : dataset_(dataset), branches_(branches) {}

  /// An example in a segment of its own.
  void add_alone(int32_t example) {
    const Segment segment{size(), size(), 0, 0};
    add_tokens(dataset_.prefix(example));
    add_branch(example, segment);
  }

  /// Neighbours of one group.
  void add_shared(std::span<const int32_t> examples) {
    const auto& prefix = dataset_.prefix(examples.front());
    if (prefix.empty() || examples.size() == 1) {
      for (const int32_t example : examples) add_alone(example);
      return;
    }
    const int32_t begin = size();
    add_tokens(prefix);
    const int32_t end = size();
    pack_.segments.push_back({begin, end, 0, 0});
    for (const int32_t example : examples) add_branch(example, {size(), size(), begin, end});
  }

  Pack finish() { return std::move(pack_); }

 private:
  int32_t size() const { return static_cast<int32_t>(pack_.size()); }

  void add_tokens(std::span<const int32_t> ids) {
    pack_.tokens.insert(pack_.tokens.end(), ids.begin(), ids.end());
  }

  /// Adds the branch and closes `segment`, whose end and positions follow from what is there.
  void add_branch(int32_t example, Segment segment) {
    const TokenExample& source = dataset_.examples[static_cast<size_t>(example)];
    const int32_t first = size();
    pack_.examples.push_back({example, first + source.answer_row});
    if (branches_ == Branches::kPrompt) {
      add_tokens(std::span(source.branch).first(static_cast<size_t>(source.answer_row) + 1));
    } else {
      add_tokens(source.branch);
      for (size_t row = 0; row < source.targets.size(); ++row) {
        if (source.targets[row] == kNoTarget) continue;
        pack_.target_rows.push_back(first + static_cast<int64_t>(row));
        pack_.targets.push_back(source.targets[row]);
        pack_.target_weights.push_back(source.weight);
      }
    }
    segment.end = size();
    pack_.segments.push_back(segment);
  }

  const TokenDataset& dataset_;
  Branches branches_;
  Pack pack_;
};

void set_positions(Pack& pack) {
  pack.positions.resize(pack.tokens.size());
  for (const Segment& segment : pack.segments) {
    std::iota(pack.positions.begin() + segment.begin, pack.positions.begin() + segment.end,
              int64_t{segment.prefix_length()});
  }
}

Pack write_pack(const TokenDataset& dataset, std::span<const int32_t> examples, Sharing sharing,
                Branches branches) {
  for (const int32_t example : examples) {
    require(example >= 0 && example < dataset.size(), "packing: example must be in [0, ",
            dataset.size(), "), got ", example);
  }
  PackWriter writer(dataset, branches);
  const auto group = [&](size_t i) {
    return dataset.examples[static_cast<size_t>(examples[i])].group;
  };
  for (size_t begin = 0; begin < examples.size();) {
    size_t end = begin + 1;
    while (sharing == Sharing::kShared && end < examples.size() && group(end) == group(begin)) {
      ++end;
    }
    writer.add_shared(examples.subspan(begin, end - begin));
    begin = end;
  }
  Pack pack = writer.finish();
  set_positions(pack);
  return pack;
}

}  // namespace

std::vector<PackPlan> plan_epoch(const TokenDataset& dataset, const PackingOptions& options,
                                 int64_t epoch) {
  std::vector<Unit> units;
  for (const TokenGroup& group : dataset.groups) add_units(dataset, group, options, units);
  shuffle(units, options.seed, epoch);

  std::vector<PackPlan> done;
  std::vector<PackPlan> open;
  for (Unit& unit : units) {
    auto place = std::find_if(open.begin(), open.end(), [&](const PackPlan& pack) {
      return pack.tokens + unit.tokens <= options.pack_tokens;
    });
    if (place == open.end()) {
      if (open.size() == kOpenPacks) {
        const auto fullest = std::max_element(
            open.begin(), open.end(),
            [](const PackPlan& a, const PackPlan& b) { return a.tokens < b.tokens; });
        done.push_back(std::move(*fullest));
        open.erase(fullest);
      }
      open.push_back(std::move(unit));
      continue;
    }
    place->tokens += unit.tokens;
    place->examples.insert(place->examples.end(), unit.examples.begin(), unit.examples.end());
  }
  std::move(open.begin(), open.end(), std::back_inserter(done));
  return done;
}

std::vector<Pack> pack_epoch(const TokenDataset& dataset, const PackingOptions& options,
                             int64_t epoch) {
  std::vector<Pack> packs;
  for (const PackPlan& plan : plan_epoch(dataset, options, epoch)) {
    packs.push_back(pack_examples(dataset, plan.examples, options.sharing));
  }
  return packs;
}

Pack pack_examples(const TokenDataset& dataset, std::span<const int32_t> examples,
                   Sharing sharing) {
  return write_pack(dataset, examples, sharing, Branches::kWhole);
}

Pack pack_prompts(const TokenDataset& dataset, std::span<const int32_t> examples, Sharing sharing) {
  return write_pack(dataset, examples, sharing, Branches::kPrompt);
}

}  // namespace radgpt
