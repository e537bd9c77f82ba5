#include "libradgpt/data/packing.h"

#include <algorithm>
#include <map>
#include <set>

#include "libradgpt/base/error.h"
#include "libradgpt/base/random.h"
#include "libradgpt/data/sampler.h"
#include "tests/catch.h"

using namespace radgpt;

namespace {

using Ids = std::vector<int32_t>;

/// One example of a group: question ids, the assistant's token, answer ids.
TokenExample branch(int32_t group, const Ids& question, const Ids& answer) {
  TokenExample example;
  example.group = group;
  example.branch = question;
  example.answer_row = static_cast<int32_t>(question.size());
  example.branch.push_back(kAssistantId);
  example.targets.assign(question.size(), kNoTarget);
  for (const int32_t id : answer) {
    example.branch.push_back(id);
    example.targets.push_back(id);
  }
  example.targets.push_back(kEndOfTextId);
  return example;
}

/// Groups of one to five examples with prefixes of 0 to 40 and branches of 2 to 20 tokens.
TokenDataset random_dataset(uint64_t seed, int groups) {
  Random random(seed, RandomStream::kSimulation);
  const auto ids = [&](uint32_t count) {
    Ids result;
    for (uint32_t i = 0; i < count; ++i) {
      result.push_back(2000 + static_cast<int32_t>(random.next_below(500)));
    }
    return result;
  };
  TokenDataset dataset;
  for (int g = 0; g < groups; ++g) {
    TokenGroup group{ids(random.next_below(41)), dataset.size(), 0};
    const uint32_t count = group.prefix.empty() ? 1 : 1 + random.next_below(5);
    for (uint32_t i = 0; i < count; ++i) {
      dataset.examples.push_back(branch(g, ids(random.next_below(10)), ids(random.next_below(10))));
    }
    group.end = dataset.size();
    dataset.groups.push_back(std::move(group));
  }
  return dataset;
}

/// What a row of a pack sees and must predict: its context (tokens in order of position) and
/// target.
struct Row {
  std::vector<int64_t> context;
  int64_t target = kNoTarget;
  auto operator<=>(const Row&) const = default;
};

/// The rows with loss of every example, read off the segments alone.
std::map<int32_t, std::vector<Row>> rows_by_example(const Pack& pack) {
  std::map<int32_t, std::vector<Row>> result;
  for (size_t k = 0; k < pack.target_rows.size(); ++k) {
    const int64_t row = pack.target_rows[k];
    const auto segment =
        std::find_if(pack.segments.begin(), pack.segments.end(),
                     [&](const Segment& s) { return s.begin <= row && row < s.end; });
    Row seen{{}, pack.targets[k]};
    for (int32_t i = segment->prefix_begin; i < segment->prefix_end; ++i) {
      seen.context.push_back(pack.tokens[static_cast<size_t>(i)]);
    }
    for (int64_t i = segment->begin; i <= row; ++i) {
      seen.context.push_back(pack.tokens[static_cast<size_t>(i)]);
    }
    CHECK(pack.positions[static_cast<size_t>(row)] ==
          static_cast<int64_t>(seen.context.size()) - 1);
    const auto example =
        std::find_if(pack.examples.begin(), pack.examples.end(), [&](const PackedExample& e) {
          return segment->begin <= e.answer_row && e.answer_row < segment->end;
        });
    result[example->example].push_back(std::move(seen));
  }
  return result;
}

/// The same from the data set, each example standing alone.
std::vector<Row> rows_alone(const TokenDataset& dataset, int32_t index) {
  const TokenExample& example = dataset.examples[static_cast<size_t>(index)];
  std::vector<int64_t> tokens(dataset.prefix(index).begin(), dataset.prefix(index).end());
  std::vector<Row> rows;
  for (size_t i = 0; i < example.branch.size(); ++i) {
    tokens.push_back(example.branch[i]);
    if (example.targets[i] != kNoTarget) rows.push_back({tokens, example.targets[i]});
  }
  return rows;
}

void check_form(const Pack& pack) {
  CHECK(pack.positions.size() == pack.tokens.size());
  CHECK(pack.targets.size() == pack.target_rows.size());
  CHECK(std::is_sorted(pack.target_rows.begin(), pack.target_rows.end()));
  int32_t end = 0;
  for (const Segment& segment : pack.segments) {
    CHECK(segment.begin == end);
    CHECK(segment.length() > 0);
    CHECK(segment.prefix_end <= segment.begin);
    if (segment.prefix_length() > 0) {
      CHECK(std::any_of(pack.segments.begin(), pack.segments.end(), [&](const Segment& other) {
        return other.begin == segment.prefix_begin && other.end == segment.prefix_end &&
               other.prefix_length() == 0;
      }));
    }
    end = segment.end;
  }
  CHECK(end == pack.size());
}

Ids all_examples(const TokenDataset& dataset) {
  Ids result(static_cast<size_t>(dataset.size()));
  for (size_t i = 0; i < result.size(); ++i) result[i] = static_cast<int32_t>(i);
  return result;
}

}  // namespace

TEST_CASE("Packing: two tasks of one report, by hand") {
  TokenDataset dataset;
  dataset.examples = {branch(0, {30}, {40, 41}), branch(0, {31, 32}, {42})};
  dataset.examples[1].weight = 2.5f;
  dataset.groups = {{{195, 20, 21}, 0, 2}};
  const Pack shared = pack_examples(dataset, Ids{0, 1}, Sharing::kShared);
  CHECK(shared.tokens == std::vector<int64_t>{195, 20, 21, 30, 196, 40, 41, 31, 32, 196, 42});
  CHECK(shared.positions == std::vector<int64_t>{0, 1, 2, 3, 4, 5, 6, 3, 4, 5, 6});
  CHECK(shared.target_rows == std::vector<int64_t>{4, 5, 6, 9, 10});
  CHECK(shared.targets == std::vector<int64_t>{40, 41, 2, 42, 2});
  CHECK(shared.target_weights == std::vector<float>{1, 1, 1, 2.5f, 2.5f});
  REQUIRE(shared.segments.size() == 3);
  CHECK(shared.segments[1].begin == 3);
  CHECK(shared.segments[1].end == 7);
  CHECK(shared.segments[1].prefix_end == 3);
  CHECK(shared.segments[2].prefix_begin == 0);
  CHECK(shared.examples[0].answer_row == 4);
  CHECK(shared.examples[1].answer_row == 9);

  const Pack packed = pack_examples(dataset, Ids{0, 1}, Sharing::kPacked);
  CHECK(packed.tokens ==
        std::vector<int64_t>{195, 20, 21, 30, 196, 40, 41, 195, 20, 21, 31, 32, 196, 42});
  CHECK(packed.positions == std::vector<int64_t>{0, 1, 2, 3, 4, 5, 6, 0, 1, 2, 3, 4, 5, 6});
  CHECK(packed.segments.size() == 2);
  CHECK(packed.targets == shared.targets);
}

TEST_CASE("Packing: a prefix with one branch is one plain segment") {
  TokenDataset dataset;
  dataset.examples = {branch(0, {30}, {40}), branch(0, {31}, {41})};
  dataset.groups = {{{195, 20}, 0, 2}};
  const Pack pack = pack_examples(dataset, Ids{1}, Sharing::kShared);
  REQUIRE(pack.segments.size() == 1);
  CHECK(pack.segments[0].prefix_length() == 0);
  CHECK(pack.examples[0].example == 1);
}

TEST_CASE("Packing: prompts end with the assistant's token and have no targets") {
  TokenDataset dataset;
  dataset.examples = {branch(0, {30}, {40, 41}), branch(0, {31}, {42})};
  dataset.groups = {{{195, 20}, 0, 2}};
  const Pack pack = pack_prompts(dataset, Ids{0, 1}, Sharing::kShared);
  CHECK(pack.tokens == std::vector<int64_t>{195, 20, 30, 196, 31, 196});
  CHECK(pack.target_rows.empty());
  CHECK(pack.targets.empty());
  CHECK(pack.examples[0].answer_row == 3);
  CHECK(pack.examples[1].answer_row == 5);
  check_form(pack);
}

TEST_CASE("Packing: every example is in an epoch once, whole, and sees what it sees alone") {
  const Sharing sharing = GENERATE(Sharing::kShared, Sharing::kPacked);
  const int32_t pack_tokens = GENERATE(61, 64, 100, 500);
  const TokenDataset dataset = random_dataset(static_cast<uint64_t>(pack_tokens), 120);
  std::map<int32_t, int> seen;
  for (const Pack& pack : pack_epoch(dataset, {pack_tokens, sharing, 5}, 3)) {
    CHECK(pack.size() <= pack_tokens);
    check_form(pack);
    for (const auto& [example, rows] : rows_by_example(pack)) {
      ++seen[example];
      CHECK(rows == rows_alone(dataset, example));
    }
  }
  CHECK(seen.size() == static_cast<size_t>(dataset.size()));
  for (const auto& [example, times] : seen) CHECK(times == 1);
}

TEST_CASE("Packing: shared and packed have the same targets, shared fewer tokens") {
  const TokenDataset dataset = random_dataset(9, 50);
  const Pack shared = pack_examples(dataset, all_examples(dataset), Sharing::kShared);
  const Pack packed = pack_examples(dataset, all_examples(dataset), Sharing::kPacked);
  CHECK(shared.targets == packed.targets);
  CHECK(shared.size() < packed.size());
  CHECK(rows_by_example(shared) == rows_by_example(packed));
}

TEST_CASE("Packing: a group longer than a pack is divided, its prefix repeated") {
  TokenDataset dataset;
  for (int32_t i = 0; i < 5; ++i) dataset.examples.push_back(branch(0, {30 + i}, {40}));
  dataset.groups = {{{195, 20, 21, 22}, 0, 5}};
  const auto packs = pack_epoch(dataset, {10, Sharing::kShared, 0}, 0);
  REQUIRE(packs.size() == 3);  // 4 + 3 + 3 | 4 + 3 + 3 | 4 + 3
  std::multiset<int64_t> sizes;
  for (const Pack& pack : packs) {
    sizes.insert(pack.size());
    CHECK(pack.tokens[0] == 195);
  }
  CHECK(sizes == std::multiset<int64_t>{7, 10, 10});
}

TEST_CASE("Packing: the order is a function of seed and epoch") {
  const TokenDataset dataset = random_dataset(4, 80);
  const auto order = [&](uint64_t seed, int64_t epoch) {
    std::vector<Ids> plans;
    for (const PackPlan& plan : plan_epoch(dataset, {100, Sharing::kShared, seed}, epoch)) {
      plans.push_back(plan.examples);
    }
    return plans;
  };
  CHECK(order(1, 0) == order(1, 0));
  CHECK(order(1, 0) != order(1, 1));
  CHECK(order(1, 0) != order(2, 0));
}

TEST_CASE("Packing: many units fill packs to 97 %") {
  const TokenDataset dataset = random_dataset(8, 3000);
  const auto plan = plan_epoch(dataset, {1024, Sharing::kShared, 1}, 0);
  int64_t tokens = 0;
  for (const PackPlan& pack : plan) tokens += pack.tokens;
  CHECK(static_cast<double>(tokens) > 0.97 * 1024 * static_cast<double>(plan.size()));
}

TEST_CASE("Packing: refuses an example longer than a pack and an index outside") {
  const TokenDataset dataset = random_dataset(1, 5);
  CHECK_THROWS_AS(plan_epoch(dataset, {8, Sharing::kShared, 0}, 0), Error);
  CHECK_THROWS_AS(pack_examples(dataset, Ids{dataset.size()}, Sharing::kShared), Error);
  CHECK_THROWS_AS(pack_examples(dataset, Ids{-1}, Sharing::kShared), Error);
  CHECK(pack_examples(dataset, Ids{}, Sharing::kShared).size() == 0);
}

TEST_CASE("Sampler: gives the packs of its epochs in order, in steps that cross none") {
  const TokenDataset dataset = random_dataset(3, 60);
  const PackingOptions options{100, Sharing::kShared, 7};
  Sampler sampler(dataset, options, 4);
  for (int64_t epoch = 0; epoch < 3; ++epoch) {
    const auto packs = pack_epoch(dataset, options, epoch);
    std::vector<std::vector<int64_t>> expected;
    for (const Pack& pack : packs) expected.push_back(pack.tokens);
    std::vector<std::vector<int64_t>> given;
    CHECK(sampler.steps_in_epoch(epoch) == static_cast<int64_t>((packs.size() + 3) / 4));
    for (int64_t step = 0; step < sampler.steps_in_epoch(epoch); ++step) {
      CHECK(sampler.state() == SamplerState{epoch, step});
      for (const Pack& pack : sampler.next()) given.push_back(pack.tokens);
    }
    CHECK(given == expected);
  }
  CHECK(sampler.state() == SamplerState{3, 0});
}

TEST_CASE("Sampler: goes on from a state as if it had come there by itself") {
  const TokenDataset dataset = random_dataset(5, 40);
  const PackingOptions options{100, Sharing::kPacked, 1};
  Sampler whole(dataset, options, 3);
  std::vector<SamplerState> states;
  std::vector<std::vector<int64_t>> firsts;
  for (int step = 0; step < 40; ++step) {
    states.push_back(whole.state());
    firsts.push_back(whole.next().front().tokens);
  }
  for (size_t i = 0; i < states.size(); i += 7) {
    Sampler resumed(dataset, options, 3);
    resumed.restore(states[i]);
    for (size_t j = i; j < states.size(); ++j) CHECK(resumed.next().front().tokens == firsts[j]);
  }
}

TEST_CASE("Sampler: refuses nothing to sample and states that no epoch has") {
  const TokenDataset empty;
  CHECK_THROWS_AS(Sampler(empty, PackingOptions{}, 1), Error);
  const TokenDataset dataset = random_dataset(5, 10);
  CHECK_THROWS_AS(Sampler(dataset, PackingOptions{}, 0), Error);
  Sampler sampler(dataset, {100, Sharing::kShared, 1}, 1);
  CHECK_THROWS_AS(sampler.restore({0, 1000}), Error);
  CHECK_THROWS_AS(sampler.restore({-1, 0}), Error);
  CHECK_THROWS_AS(sampler.restore({0, -1}), Error);
  CHECK(sampler.state() == SamplerState{0, 0});
}
