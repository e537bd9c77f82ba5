#include "libradgpt/model/baichuan.h"

#include <torch/types.h>

#include "libradgpt/base/error.h"
#include "tests/base/temporary_folder.h"
#include "tests/catch.h"
#include "tests/device/test_type.h"
#include "tests/model/reference_model.h"
#include "tests/model/small_packs.h"

namespace radgpt {

namespace {

const Tokens kReport = {195, 17, 42, 105, 3, 66, 17, 99};
const Tokens kQuestion = {5, 31, 12, 196, 77, 201};
const Tokens kOther = {5, 8, 196, 140};

// Some sums of some hundred products in the type, and what two layers make of them.
double tolerance(at::ScalarType type) { return type == at::kDouble ? 1e-9 : test_tolerance(); }

struct Loaded {
  ReferenceModel reference;
  std::unique_ptr<Baichuan> model;
};

Loaded load_small(PositionKind position, at::ScalarType type) {
  const TemporaryFolder folder;
  const ModelConfig config = small_config(position);
  ReferenceModel reference{config, random_weights(config), {}};
  write_model_folder(folder.path(), config, reference.weights);
  return {std::move(reference), Baichuan::load(folder.path(), type)};
}

}  // namespace

TEST_CASE("Baichuan: hidden states are those of the plain formulas, for both kinds") {
  const auto position = GENERATE(PositionKind::kRope, PositionKind::kAlibi);
  const auto type = GENERATE(test_type(), at::kDouble);
  const Loaded small = load_small(position, type);
  const at::Tensor hidden = small.model->forward(single_pack(kReport), {});
  REQUIRE(hidden.scalar_type() == type);
  CHECK(relative_error(hidden, small.reference.hidden(kReport)) < tolerance(type));
}

TEST_CASE("Baichuan: logits go through the normalised head") {
  const Loaded small = load_small(PositionKind::kAlibi, test_type());
  const at::Tensor hidden = small.model->forward(single_pack(kReport), {});
  const at::Tensor logits = head_logits(hidden, small.model->head());
  CHECK(relative_error(logits, small.reference.logits(kReport)) < tolerance(test_type()));
}

TEST_CASE("Baichuan: positions beyond RoPE's tables are refused, ALiBi has none") {
  const auto position = GENERATE(PositionKind::kRope, PositionKind::kAlibi);
  const Loaded small = load_small(position, at::kFloat);
  Pack pack = single_pack(kReport);
  pack.positions.back() = small.model->config().model_max_length;
  if (position == PositionKind::kRope) {
    CHECK_THROWS_WITH(small.model->forward(pack, {}),
                      Catch::Matchers::ContainsSubstring("model: positions must be in [0, "));
  } else {
    CHECK_NOTHROW(small.model->forward(pack, {}));
  }
}

TEST_CASE("Baichuan: sequences of a pack do not see each other") {
  const auto position = GENERATE(PositionKind::kRope, PositionKind::kAlibi);
  const Loaded small = load_small(position, at::kDouble);
  Pack pack = single_pack(kReport);
  add_segment(pack, kQuestion);
  const at::Tensor hidden = small.model->forward(pack, {});
  const at::Tensor expected =
      at::cat({small.reference.hidden(kReport), small.reference.hidden(kQuestion)});
  CHECK(relative_error(hidden, expected) < tolerance(at::kDouble));
}

TEST_CASE("Baichuan: branches of a prefix are computed as if each stood alone") {
  const auto position = GENERATE(PositionKind::kRope, PositionKind::kAlibi);
  const Loaded small = load_small(position, at::kDouble);
  Pack pack;
  const Segment report = add_segment(pack, kReport);
  const Segment first = add_segment(pack, kQuestion, report);
  const Segment second = add_segment(pack, kOther, report);
  const at::Tensor hidden = small.model->forward(pack, {});
  for (const auto& [segment, tokens] : {std::pair{first, kQuestion}, std::pair{second, kOther}}) {
    const at::Tensor alone = small.reference.hidden(joined(kReport, tokens));
    const at::Tensor expected = alone.narrow(0, report.length(), segment.length());
    const at::Tensor got = hidden.narrow(0, segment.begin, segment.length());
    CHECK(relative_error(got, expected) < tolerance(at::kDouble));
  }
}

TEST_CASE("Baichuan: some rows are those of all rows, in the order asked") {
  const Loaded small = load_small(PositionKind::kRope, at::kDouble);
  const at::Tensor all = small.model->forward(single_pack(kReport), {});
  const at::Tensor some = small.model->forward(single_pack(kReport), {}, {6, 2, 2});
  CHECK(relative_error(some, at::stack({all[6], all[2], all[2]})) < tolerance(at::kDouble));
}

TEST_CASE("Baichuan: tokens computed with the cache are those of the whole sequence") {
  const auto position = GENERATE(PositionKind::kRope, PositionKind::kAlibi);
  const Loaded small = load_small(position, at::kDouble);
  Pack pack;
  const Segment report = add_segment(pack, kReport);
  add_segment(pack, {kQuestion[0], kQuestion[1]}, report);
  add_segment(pack, {kOther[0]}, report);
  std::vector<LayerCache> cache = small.model->make_cache(3, 16);
  const at::Tensor last = small.model->prefill(pack, {9, 10}, {-1, 2, 0}, cache);
  CHECK(relative_error(last, small.model->forward(pack, {}).narrow(0, 9, 2)) < 1e-9);
  std::vector<int32_t> lengths = {10, 9};
  for (size_t step = 0; step < 3; ++step) {
    const at::Tensor hidden =
        small.model->decode({kQuestion[2 + step], kOther[1 + step]}, {2, 0}, lengths, cache);
    const at::Tensor first = small.reference.hidden(joined(kReport, kQuestion))[lengths[0]];
    const at::Tensor second = small.reference.hidden(joined(kReport, kOther))[lengths[1]];
    CHECK(relative_error(hidden, at::stack({first, second})) < tolerance(at::kDouble));
    ++lengths[0];
    ++lengths[1];
  }
}

TEST_CASE("Baichuan: bf16 is as near to the exact result as the rounding of its weights") {
  const Loaded small = load_small(PositionKind::kRope, at::kBFloat16);
  const at::Tensor hidden = small.model->forward(single_pack(kReport), {});
  REQUIRE(hidden.scalar_type() == at::kBFloat16);
  // 2^-8 a rounding; the residual stream of two layers is rounded a dozen times.
  CHECK(relative_error(hidden, small.reference.hidden(kReport)) < 12.0 / 256);
}

TEST_CASE("Baichuan: refuses token ids outside the vocabulary") {
  const Loaded small = load_small(PositionKind::kRope, at::kFloat);
  CHECK_THROWS_AS(small.model->forward(single_pack({5, 211}), {}), Error);
  CHECK_THROWS_AS(small.model->forward(single_pack({-1}), {}), Error);
}

TEST_CASE("Baichuan: the digest is that of the weights and of what gives them meaning") {
  const Loaded rope = load_small(PositionKind::kRope, at::kFloat);
  const Loaded same = load_small(PositionKind::kRope, at::kFloat);
  CHECK(rope.model->digest() == same.model->digest());
  same.model->linear(1, LinearKind::kDown).weight()[3][4] += 1e-3;
  CHECK(rope.model->digest() != same.model->digest());
}

}  // namespace radgpt
