#include "libradgpt/distributed/gradient_reduction.h"

#include <torch/types.h>

#include <mutex>
#include <vector>

#include "tests/catch.h"
#include "tests/distributed/thread_ranks.h"

namespace radgpt {
namespace {

constexpr int64_t kElements = 103;  // no multiple of a block or of a number of ranks
const std::vector<GradientReduction::Parameter> kParameters = {{0, 30}, {30, 31}, {31, 103}};

at::Tensor gradient_of(int64_t pack) {
  at::Generator generator = at::make_generator<at::CPUGeneratorImpl>(static_cast<uint64_t>(pack));
  return at::randn({kElements}, generator);
}

/// The sum in the tree over all packs, by one process.
at::Tensor expected_sum(int64_t packs) {
  OrderedSum sum;
  for (int64_t pack = 0; pack < packs; ++pack) sum.add(gradient_of(pack));
  at::Tensor result = at::empty({kElements});
  sum.finish(result);
  return result;
}

enum class Hooks { kAll, kSome, kNone };

/// One step as a trainer does it; `hooks`: which parameters say that they are complete.
void reduce(GradientReduction& reduction, const at::Tensor& flat, int64_t packs, Hooks hooks) {
  const PackRange own = reduction.begin(packs);
  for (int64_t pack = own.begin; pack < own.end; ++pack) {
    flat.zero_();
    const at::Tensor gradient = gradient_of(pack);
    for (size_t i = kParameters.size(); i-- > 0;) {  // a backward pass ends with the first
      const auto [begin, end] = kParameters[i];
      flat.narrow(0, begin, end - begin).copy_(gradient.narrow(0, begin, end - begin));
      if (hooks == Hooks::kAll || (hooks == Hooks::kSome && i != 1)) reduction.complete(i);
    }
    reduction.add();
  }
  reduction.finish();
}

TEST_CASE("Gradient reduction: any number of ranks, packs and blocks gives the bits of one rank") {
  const auto hooks = GENERATE(Hooks::kAll, Hooks::kSome, Hooks::kNone);
  for (const int size : {1, 2, 3, 4, 8}) {
    for (const int64_t block : {16, 64, 1000}) {
      run_thread_ranks(size, [&](Communicator& ranks) {
        const at::Tensor flat = at::empty({kElements});
        GradientReduction reduction(ranks, flat, kParameters, ReductionOrder::kOrdered, block);
        for (const int64_t packs : {8, 1, 2, 3, 5, 7, 13}) {
          reduce(reduction, flat, packs, hooks);
          require(at::equal(flat, expected_sum(packs)), packs, " packs on ", size, " ranks");
        }
      });
    }
  }
}

TEST_CASE("Gradient reduction: all-reduce gives the sum, the same on every rank") {
  run_thread_ranks(3, [](Communicator& ranks) {
    const at::Tensor flat = at::empty({kElements});
    GradientReduction reduction(ranks, flat, kParameters, ReductionOrder::kAllreduce, 64);
    for (const int64_t packs : {8, 2}) {
      reduce(reduction, flat, packs, Hooks::kAll);
      require(at::allclose(flat, expected_sum(packs), 1e-5, 1e-5), packs, " packs");
      const at::Tensor all = at::empty({3, kElements});
      ranks.gather(all, flat).wait();
      require(at::equal(all[0], all[1]) && at::equal(all[0], all[2]), "ranks differ");
    }
  });
}

TEST_CASE("Gradient reduction: powers of two cost the traffic of an all-reduce") {
  run_thread_ranks(4, [](Communicator& ranks) {
    const at::Tensor flat = at::empty({kElements});
    GradientReduction reduction(ranks, flat, kParameters, ReductionOrder::kOrdered, 1000);
    reduce(reduction, flat, 8, Hooks::kAll);
    const int64_t shard = (kElements + 3) / 4;
    require(ranks.bytes_sent() == 2 * 3 * shard * 4, "expected 2 x 3 shards, got ",
            ranks.bytes_sent(), " bytes");
  });
}

TEST_CASE("Gradient reduction: but for the last two blocks all is under way when the pass ends") {
  run_thread_ranks(2, [](Communicator& ranks) {
    constexpr int64_t kBlock = 16, kBlocks = 7;
    const at::Tensor flat = at::ones({kBlock * kBlocks});
    GradientReduction reduction(ranks, flat, {{0, kBlock * kBlocks}}, ReductionOrder::kOrdered,
                                kBlock);
    reduction.begin(2);
    reduction.complete(0);
    constexpr int64_t kShardBytes = kBlock / 2 * 4;
    require(ranks.bytes_sent() == (kBlocks + kBlocks - 2) * kShardBytes, "7 exchanges, 5 gathers");
    reduction.add();
    reduction.finish();
    require(ranks.bytes_sent() == 2 * kBlocks * kShardBytes, "7 exchanges, 7 gathers");
    require(at::equal(flat, at::full({kBlock * kBlocks}, 2.0f)), "sum of two packs");
  });
}

TEST_CASE("Gradient reduction: packs are shared out evenly, and subtrees are the largest") {
  CHECK(packs_of_rank(7, 0, 3).size() == 3);
  CHECK(packs_of_rank(7, 2, 3).begin == 5);
  CHECK(packs_of_rank(2, 3, 4).size() == 0);
  CHECK(subtree_levels({3, 10}) == std::vector<int>{0, 2, 1});
  CHECK(subtree_levels({0, 8}) == std::vector<int>{3});
  CHECK(subtree_levels({6, 6}).empty());
}

}  // namespace
}  // namespace radgpt
