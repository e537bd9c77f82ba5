#include "libradgpt/lora/adapter_set.h"

#include <torch/types.h>

#include "libradgpt/base/error.h"
#include "libradgpt/generate/generate.h"
#include "tests/catch.h"
#include "tests/lora/adapted_model.h"

namespace radgpt {

namespace {

const Tokens kQuestion = {5, 31, 12, 196};

std::unique_ptr<Baichuan> fresh_model(PositionKind position, at::ScalarType type) {
  auto model = std::make_unique<Baichuan>(small_config(position), type);
  model->initialise(3);
  return model;
}

/// A folder with an adapter whose numbers follow from `seed`.
std::string saved(const TemporaryFolder& folder, Baichuan& model, const LoraOptions& options,
                  uint64_t seed) {
  const std::string path = folder.file("adapter" + std::to_string(seed));
  ParameterStore store;
  Adapter adapter(model, options, store);
  store.allocate();
  adapter.attach(seed);
  at::manual_seed(seed);
  for (size_t i = 0; i < store.size(); ++i) {
    const at::Tensor master = store.master(i).detach();
    master.add_(0.3 * at::randn_like(master));
  }
  adapter.save(path, "base");
  return path;
}

/// A base and three adapters of different make.
struct Several {
  TemporaryFolder folder;
  std::unique_ptr<Baichuan> model;
  AdapterSet adapters;
  std::vector<std::string> paths;

  explicit Several(PositionKind position, at::ScalarType type = at::kDouble)
      : model(fresh_model(position, type)), adapters(*model) {
    paths = {
        saved(folder, *model, all_targets(4), 1),
        saved(folder, *model, {.rank = 20, .alpha = 40, .targets = {"q_proj", "down_proj"}}, 2),
        saved(folder, *model, {.rank = 2, .targets = {"up_proj"}, .layers = {1}}, 3)};
    for (const std::string& path : paths) adapters.load(path);
  }

  /// Hidden states of one sequence with one adapter, loaded alone on a model of its own.
  at::Tensor alone(const Tokens& tokens, int adapter) const {
    const auto other = fresh_model(model->config().position, model->type());
    ParameterStore store;
    std::unique_ptr<Adapter> loaded;
    if (adapter >= 0) loaded = load_adapter(*other, paths[adapter], store);
    return other->forward(single_pack(tokens), {}).detach();
  }
};

}  // namespace

TEST_CASE("Adapter set: a selected adapter computes as one that was loaded alone") {
  Several several(GENERATE(PositionKind::kRope, PositionKind::kAlibi));
  CHECK(several.adapters.size() == 3);
  CHECK(several.adapters.selected() == -1);
  for (const int number : {1, 0, -1, 2, 1}) {
    several.adapters.select(number);
    CHECK(at::equal(several.model->forward(single_pack(kReport), {}),
                    several.alone(kReport, number)));
  }
}

TEST_CASE("Adapter set: each segment of a batch takes its own adapter") {
  Several several(GENERATE(PositionKind::kRope, PositionKind::kAlibi));
  several.adapters.select(GENERATE(-1, 0));  // does not matter then
  Pack pack;
  pack.adapters = {2, 0, 0, 0, -1, 1, 2};
  add_segment(pack, kReport);
  const Segment report = add_segment(pack, kReport);
  add_segment(pack, kQuestion, report);
  add_segment(pack, {9, 8}, report);
  add_segment(pack, kReport);
  add_segment(pack, kQuestion);
  add_segment(pack, kQuestion);
  const at::Tensor got = several.model->forward(pack, {}).detach();
  const auto expect = [&](size_t segment, const Tokens& tokens, int64_t skip) {
    const Segment& place = pack.segments[segment];
    const at::Tensor exact =
        several.alone(tokens, pack.adapters[segment]).narrow(0, skip, place.length());
    CHECK(relative_error(got.narrow(0, place.begin, place.length()), exact) < 1e-6);
  };
  const auto prefix = static_cast<int64_t>(kReport.size());
  expect(0, kReport, 0);
  expect(1, kReport, 0);
  expect(2, joined(kReport, kQuestion), prefix);
  expect(3, joined(kReport, {9, 8}), prefix);
  expect(4, kReport, 0);
  expect(5, kQuestion, 0);
  expect(6, kQuestion, 0);
  // Only some rows behind the last attention.
  const std::vector<int64_t> rows = {3, 12, 20, 29, 33};
  CHECK(relative_error(several.model->forward(pack, {}, rows),
                       got.index_select(0, at::tensor(rows, at::kLong))) < 1e-12);
}

TEST_CASE("Adapter set: prompts of one batch are answered by their own adapters") {
  Several several(GENERATE(PositionKind::kRope, PositionKind::kAlibi), test_type());
  std::vector<std::vector<int32_t>> prompts;
  GenerationOptions options{.max_new_tokens = 6, .stop_ids = {2}, .batch = 3};
  for (const int32_t adapter : {0, 1, 1, -1, 2, 0, 1}) {
    prompts.push_back({195, 17, 42, 105, 3, 66, 5, static_cast<int32_t>(prompts.size()), 196});
    options.adapters.push_back(adapter);
  }
  const auto together = generate(*several.model, prompts, options);
  for (size_t i = 0; i < prompts.size(); ++i) {
    several.adapters.select(options.adapters[i]);
    GenerationOptions alone = options;
    alone.adapters.clear();
    CHECK(together[i].ids == generate(*several.model, {prompts[i]}, alone)[0].ids);
  }
}

TEST_CASE("Adapter set: refuses what cannot be") {
  Several several(PositionKind::kRope);
  CHECK_THROWS_AS(several.adapters.select(3), Error);
  Pack pack = single_pack(kReport);
  pack.adapters = {3};
  CHECK_THROWS_WITH(several.model->forward(pack, {}), "model: adapters must be in [-1, 3), got 3");
  pack.adapters = {0, 0};
  CHECK_THROWS_AS(several.model->forward(pack, {}), Error);
  pack.adapters = {0};
  add_segment(pack, kQuestion, pack.segments[0]);
  pack.adapters = {0, 1};
  CHECK_THROWS_WITH(several.model->forward(pack, {}),
                    "model: adapters: a branch must take that of its prefix, 0, got 1");
  pack.adapters = {0, 0};
  pack.segments.back().end += 7;
  CHECK_THROWS_WITH(several.model->forward(pack, {}),
                    Catch::Matchers::ContainsSubstring("segments must cover all"));
  pack.segments.back().end -= 7;
  auto cache = several.model->make_cache(2, 4);
  CHECK_THROWS_WITH(several.model->decode({3, 4}, {0, 1}, {0, 0}, cache, {0}),
                    "model: adapters must be one a token, 2, got 1");
  several.adapters.select(1);
  CHECK_THROWS_AS(several.adapters.load(several.folder.file("none")), Error);
  CHECK(several.adapters.selected() == 1);
  const auto other = fresh_model(PositionKind::kRope, at::kDouble);
  LoraOptions dora = all_targets(2);
  dora.dora = true;
  const int number = several.adapters.load(saved(several.folder, *other, dora, 9));
  pack.adapters = {number, number};
  CHECK_THROWS_WITH(several.model->forward(pack, {}), Catch::Matchers::ContainsSubstring("DoRA"));
}

}  // namespace radgpt
