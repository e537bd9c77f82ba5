#include "libradgpt/generate/generate.h"

#include <torch/types.h>

#include <algorithm>

#include "libradgpt/base/error.h"
#include "libradgpt/generate/prompt_pack.h"
#include "tests/catch.h"
#include "tests/generate/small_generator.h"

namespace radgpt {

namespace {

using Prompts = std::vector<std::vector<int32_t>>;

// Three of one report, two of another, one alone; lengths differ.
const Prompts kPrompts = {
    {195, 17, 42, 105, 3, 66, 5, 31, 196}, {195, 17, 42, 105, 3, 66, 5, 8, 9, 10, 196},
    {195, 17, 42, 105, 3, 66, 196},        {195, 90, 91, 92, 93, 94, 95, 5, 31, 196},
    {195, 90, 91, 92, 93, 94, 95, 5, 196}, {195, 196},
};

// Step by step over the whole sequence with the plain model: what was said is the likeliest, or as
// likely as that within the rounding of the type; so is one of `stops` where the answer has
// stopped.
void expect_likeliest(const ReferenceModel& model, std::vector<int32_t> ids,
                      const Generation& answer, const std::vector<int32_t>& stops) {
  const auto lacks = [&](const std::vector<int32_t>& said) {
    const at::Tensor next = model.next_log_probabilities({ids.begin(), ids.end()});
    double most = next[said.front()].item<double>();
    for (const int32_t id : said) most = std::max(most, next[id].item<double>());
    return (next.max().item<double>() - most) / next.abs().max().item<double>();
  };
  for (const int32_t id : answer.ids) {
    CHECK(std::find(stops.begin(), stops.end(), id) == stops.end());
    CHECK(lacks({id}) <= test_tolerance());
    ids.push_back(id);
  }
  if (answer.stopped) CHECK(lacks(stops) <= test_tolerance());
}

std::vector<std::vector<int32_t>> ids_of(const std::vector<Generation>& generations) {
  std::vector<std::vector<int32_t>> ids;
  for (const Generation& one : generations) ids.push_back(one.ids);
  return ids;
}

}  // namespace

TEST_CASE("Generate: greedy answers are the step-by-step argmax of the plain model") {
  const SmallGenerator small(GENERATE(PositionKind::kRope, PositionKind::kAlibi));
  GenerationOptions options;
  options.max_new_tokens = 12;
  // Ids that this model likes to say stop it somewhere in the middle.
  const auto first = generate(*small.model, kPrompts, options);
  options.stop_ids.push_back(first[0].ids.at(5));
  const auto generations = generate(*small.model, kPrompts, options);
  for (size_t i = 0; i < kPrompts.size(); ++i) {
    expect_likeliest(small.reference, kPrompts[i], generations[i], options.stop_ids);
    CHECK(generations[i].stopped == (generations[i].ids.size() < 12));
  }
  CHECK(generations[0].stopped);
}

// Not in bf16, where the draw of a token hangs on how sums over shared prefixes are rounded.
TEST_CASE("Generate: answers do not depend on how many are computed together") {
  const SmallGenerator small(PositionKind::kAlibi, at::kFloat);
  GenerationOptions options;
  options.max_new_tokens = 10;
  options.sampling = {.temperature = 0.8, .top_k = 20, .top_p = 0.9, .repetition_penalty = 1.1};
  const auto together = ids_of(generate(*small.model, kPrompts, options));
  for (const int64_t batch : {1, 2, 4}) {
    options.batch = batch;
    CHECK(ids_of(generate(*small.model, kPrompts, options)) == together);
  }
  options.sampling.seed = 1;
  CHECK(ids_of(generate(*small.model, kPrompts, options)) != together);
}

TEST_CASE("Generate: ends at the model's length and says so") {
  const SmallGenerator small(PositionKind::kRope);
  const std::vector<int32_t> prompt(125, 7);
  const auto generations = generate(*small.model, {prompt}, {.max_new_tokens = 50, .stop_ids = {}});
  CHECK(generations[0].ids.size() == 3);
  CHECK_FALSE(generations[0].stopped);
}

TEST_CASE("Generate: tells after every finished answer how many are done") {
  const SmallGenerator small(PositionKind::kRope);
  std::vector<int64_t> told;
  generate(*small.model, kPrompts, {.max_new_tokens = 3, .batch = 2},
           [&](int64_t done) { told.push_back(done); });
  CHECK(told == std::vector<int64_t>{1, 2, 3, 4, 5, 6});
}

TEST_CASE("Generate: refuses prompts it cannot go on from") {
  const SmallGenerator small(PositionKind::kRope);
  CHECK(generate(*small.model, {}, {}).empty());
  CHECK_THROWS_AS(generate(*small.model, {{}}, {}), Error);
  CHECK_THROWS_AS(generate(*small.model, {{195, 211}}, {}), Error);
  CHECK_THROWS_AS(generate(*small.model, {std::vector<int32_t>(128, 7)}, {}), Error);
  CHECK_THROWS_AS(generate(*small.model, kPrompts, {.batch = 0}), Error);
  CHECK_THROWS_AS(generate(*small.model, kPrompts, {.max_new_tokens = 0}), Error);
}

TEST_CASE("Prompt pack: neighbours share what they begin with, and nothing else") {
  const PromptPack prompts = pack_prompt_ids(kPrompts);
  // Prefix of six, three branches; prefix of eight, two branches; one alone.
  CHECK(prompts.prompt_of_segment == std::vector<int32_t>{-1, 0, 1, 2, -1, 3, 4, 5});
  CHECK(prompts.pack.size() == 6 + 3 + 5 + 1 + 8 + 2 + 1 + 2);
  for (size_t s = 0; s < prompts.prompt_of_segment.size(); ++s) {
    const int32_t prompt = prompts.prompt_of_segment[s];
    if (prompt < 0) continue;
    const Segment& segment = prompts.pack.segments[s];
    const auto tokens = prompts.pack.tokens.begin();
    std::vector<int32_t> whole(tokens + segment.prefix_begin, tokens + segment.prefix_end);
    whole.insert(whole.end(), tokens + segment.begin, tokens + segment.end);
    CHECK(whole == kPrompts[prompt]);
    CHECK(prompts.last_rows[prompt] == segment.end - 1);
    CHECK(prompts.pack.positions[segment.end - 1] == static_cast<int64_t>(whole.size()) - 1);
  }
}

TEST_CASE("Prompt pack: equal prompts keep a last token each") {
  const PromptPack prompts = pack_prompt_ids(Prompts{{195, 7, 196}, {195, 7, 196}});
  CHECK(prompts.pack.tokens == std::vector<int64_t>{195, 7, 196, 196});
  CHECK(prompts.last_rows == std::vector<int64_t>{2, 3});
}

}  // namespace radgpt
