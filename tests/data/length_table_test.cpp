#include "libradgpt/data/length_table.h"

#include "tests/catch.h"

using namespace radgpt;

namespace {

/// Example i stands in a group of two with a prefix of 10 tokens and has a branch of i + 1.
TokenDataset staircase(int32_t count) {
  TokenDataset dataset;
  for (int32_t i = 0; i < count; ++i) {
    if (i % 2 == 0) dataset.groups.push_back({std::vector<int32_t>(10, 300), i, i});
    TokenExample example;
    example.task = i % 2;
    example.group = i / 2;
    example.branch.assign(static_cast<size_t>(i) + 1, 301);
    example.targets.assign(static_cast<size_t>(i) + 1, kNoTarget);
    example.targets.back() = kEndOfTextId;
    dataset.examples.push_back(std::move(example));
    dataset.groups.back().end = i + 1;
  }
  return dataset;
}

}  // namespace

TEST_CASE("Length table: percentiles and sums of each task") {
  const auto rows = length_table(staircase(200));
  REQUIRE(rows.size() == 2);
  // Task 0: lengths 11, 13, …, 209; task 1: 12, 14, …, 210.
  CHECK(rows[0].task == 0);
  CHECK(rows[0].examples == 100);
  CHECK(rows[0].tokens == 11000);
  CHECK(rows[0].targets == 100);
  CHECK(rows[0].p50 == 109);
  CHECK(rows[0].p90 == 189);
  CHECK(rows[0].p99 == 207);
  CHECK(rows[0].longest == 209);
  CHECK(rows[1].longest == 210);
  CHECK(length_table(TokenDataset{}).empty());
}

TEST_CASE("Epoch tokens: one batch is padded to its longest, shared prefixes count once") {
  // Lengths 11 … 18: padded 8 · 18, packed 116, shared 4 · 10 + 36.
  const EpochTokens tokens = count_epoch_tokens(staircase(8), {100, Sharing::kPacked, 1});
  CHECK(tokens.padded == 144);
  CHECK(tokens.packed == 116);
  CHECK(tokens.shared == 76);
  CHECK(tokens.targets == 8);
  CHECK(tokens.packs == 2);
  CHECK(tokens.fill == 0.58);
  const EpochTokens shared = count_epoch_tokens(staircase(8), {100, Sharing::kShared, 1});
  CHECK(shared.shared == 76);
  CHECK(shared.packs == 1);
  CHECK(shared.fill == 0.76);
}

TEST_CASE("Epoch tokens: the last batch may be smaller") {
  // One example of 11 and eight of up to 19 in two batches: at least 8 · 11 + 1 · 11.
  const EpochTokens tokens = count_epoch_tokens(staircase(9), {100, Sharing::kShared, 1});
  CHECK(tokens.padded >= tokens.packed);
  CHECK(tokens.padded <= 9 * 19);
  CHECK(count_epoch_tokens(TokenDataset{}, {}).padded == 0);
}
