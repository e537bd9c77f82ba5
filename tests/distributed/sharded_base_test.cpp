// A base sharded over ranks computes the bits of one that each rank has whole.

#include <torch/types.h>

#include <filesystem>
#include <vector>

#include "libradgpt/distributed/gradient_reduction.h"
#include "libradgpt/heads/head.h"
#include "libradgpt/lora/adapter.h"
#include "libradgpt/ops/head_cross_entropy.h"
#include "libradgpt/optim/adamw.h"
#include "tests/catch.h"
#include "tests/distributed/thread_ranks.h"
#include "tests/model/pytorch_folder.h"
#include "tests/model/small_packs.h"

namespace radgpt {
namespace {

ModelConfig four_layers(PositionKind position) {
  ModelConfig config = small_config(position);
  config.num_hidden_layers = 4;
  return config;
}

/// Packs of a step: of different lengths, with targets; the fourth has none, the sixth has rows
/// that a head reads but nothing to learn in them, as examples without a class.
std::vector<Pack> packs_of_step(int64_t count, int64_t step) {
  std::vector<Pack> packs;
  for (int64_t i = 0; i < count; ++i) {
    Tokens tokens;
    for (int64_t t = 0; t < 3 + 2 * i; ++t) tokens.push_back((7 + 31 * t + 11 * i + step) % 211);
    Pack pack = single_pack(tokens);
    if (i != 3) set_targets(pack, 1, {tokens[2], tokens[0]});
    if (i == 5) pack.targets.clear();
    packs.push_back(pack);
  }
  return packs;
}

/// A model with an adapter in training; `ranks` null: with the whole base.
struct Run {
  Baichuan model;
  ParameterStore store;
  Adapter adapter;
  AdamW optimizer;

  Run(const ModelConfig& config, at::ScalarType type, const LoraOptions& options,
      Communicator* ranks)
      : model(config, type, ranks), adapter(model, options, store), optimizer(allocated(), {}) {}

  ParameterStore& allocated() {
    model.initialise(3);
    store.allocate();
    adapter.attach(5);
    return store;
  }

  double backward(const Pack& pack, int64_t step, int64_t index) {
    store.flat_gradient().zero_();
    const DropoutKey key{1, static_cast<uint64_t>(step), static_cast<uint32_t>(index), true, 0.5};
    const at::Tensor hidden = model.forward(pack, key, pack.target_rows);
    const at::Tensor loss =
        pack.targets.empty()
            ? no_terms(hidden).loss
            : head_cross_entropy(hidden, model.head(), at::tensor(pack.targets, at::kLong), 1.0);
    loss.backward();
    return loss.item<double>();
  }
};

struct Step {
  std::vector<double> losses;  ///< of each pack
  at::Tensor gradient;
  at::Tensor parameters;
};

Step whole_step(Run& run, const std::vector<Pack>& packs, int64_t step) {
  Step result;
  OrderedSum sum;
  for (size_t i = 0; i < packs.size(); ++i) {
    result.losses.push_back(run.backward(packs[i], step, static_cast<int64_t>(i)));
    sum.add(run.store.flat_gradient());
  }
  sum.finish(run.store.flat_gradient());
  result.gradient = run.store.flat_gradient().clone();
  run.optimizer.step(0.02, 1.0);
  result.parameters = run.store.flat().clone();
  return result;
}

/// Steps of a run over ranks, as Baichuan::join_pass says.
class ShardedSteps {
 public:
  ShardedSteps(Run& run, Communicator& ranks)
      : run_(run),
        ranks_(ranks),
        reduction_(ranks, run.store.flat_gradient(), parameters(run.store),
                   ReductionOrder::kOrdered, 256) {}

  void make(const std::vector<Pack>& packs, int64_t step, const Step& expected) {
    const auto count = static_cast<int64_t>(packs.size());
    const PackRange own = packs_of_rank(count, ranks_.rank(), ranks_.size());
    const int64_t most = packs_of_rank(count, 0, ranks_.size()).size();
    for (int64_t i = own.size(); i < most; ++i) {
      run_.model.join_pass(PassKind::kForwardAndBackward);
    }
    reduction_.begin(count);
    for (int64_t i = own.begin; i < own.end; ++i) {
      const double loss = run_.backward(packs[i], step, i);
      require(loss == expected.losses[i], "loss of pack ", i, " in step ", step, ": expected ",
              expected.losses[i], ", got ", loss);
      reduction_.add();
    }
    reduction_.finish();
    require(at::equal(run_.store.flat_gradient(), expected.gradient), "gradient of step ", step);
    run_.optimizer.step(0.02, 1.0);
    require(at::equal(run_.store.flat(), expected.parameters), "parameters after step ", step);
  }

 private:
  static std::vector<GradientReduction::Parameter> parameters(const ParameterStore& store) {
    std::vector<GradientReduction::Parameter> all;
    int64_t begin = 0;
    for (size_t i = 0; i < store.size(); ++i) {
      const int64_t end = begin + store.master(i).numel();
      all.push_back({begin, end});
      begin = end;
    }
    return all;
  }

  Run& run_;
  Communicator& ranks_;
  GradientReduction reduction_;
};

LoraOptions adapter_on(const std::vector<std::string>& targets, std::vector<int64_t> layers = {}) {
  return {.rank = 3, .dropout = 0.1, .targets = targets, .layers = std::move(layers)};
}

void expect_equal_training(int size, at::ScalarType type, PositionKind position,
                           const LoraOptions& options) {
  run_thread_ranks(size, [&](Communicator& ranks) {
    const ModelConfig config = four_layers(position);
    Run whole(config, type, options, nullptr), sharded(config, type, options, &ranks);
    require(sharded.model.is_sharded() && !whole.model.is_sharded(), "is_sharded");
    const std::string digest = whole.model.digest();
    require(sharded.model.digest() == digest, "digest of a fresh base");
    ShardedSteps steps(sharded, ranks);
    int64_t step = 0;
    for (const int64_t count : {4, 1, 7, 2, 5}) {
      const std::vector<Pack> packs = packs_of_step(count, step);
      steps.make(packs, step, whole_step(whole, packs, step));
      ++step;
    }
    require(sharded.model.digest() == digest, "digest after training");
  });
}

TEST_CASE("Sharded base: losses, gradients and adapter are those of a whole base to the bit") {
  const auto type = GENERATE(at::kFloat, at::kBFloat16);
  const auto size = GENERATE(2, 3);  // 3 divides no linear of hidden size
  expect_equal_training(size, type, PositionKind::kAlibi, adapter_on({"all"}));
}

TEST_CASE("Sharded base: a backward pass may end above the first layer") {
  const auto options =
      GENERATE(adapter_on({"o_proj"}, {2, 3}), adapter_on({"q_proj", "v_proj"}, {1}),
               adapter_on({"down_proj"}, {3}), adapter_on({"W_pack"}, {0, 3}));
  expect_equal_training(3, at::kFloat, PositionKind::kRope, options);
}

TEST_CASE("Sharded base: more ranks than rows of a share keep nothing of some weights") {
  // Of 40 rows 7 ranks keep 6 each, the last 4; of 12 ranks the last two have none.
  expect_equal_training(7, at::kFloat, PositionKind::kAlibi, adapter_on({"all"}));
  expect_equal_training(12, at::kBFloat16, PositionKind::kAlibi, adapter_on({"W_pack"}));
}

TEST_CASE("Sharded base: one rank keeps all") {
  Communicator alone;
  const ModelConfig config = small_config(PositionKind::kAlibi);
  Baichuan model(config, at::kFloat, &alone);
  CHECK_FALSE(model.is_sharded());
  model.initialise(1);
  model.join_pass(PassKind::kForwardAndBackward);
  CHECK(model.tensors().size() == named_tensors(config).size());
}

TEST_CASE("Sharded base: passes without gradients, given up ones and other adapters in between") {
  run_thread_ranks(3, [](Communicator& ranks) {
    const ModelConfig config = four_layers(PositionKind::kRope);
    const LoraOptions options = adapter_on({"all"});
    Run whole(config, at::kFloat, options, nullptr), sharded(config, at::kFloat, options, &ranks);
    ShardedSteps steps(sharded, ranks);
    const std::vector<Pack> packs = packs_of_step(3, 0);
    const auto evaluate = [&](const char* when) {
      const at::NoGradGuard no_grad;
      if (ranks.rank() == 2) return sharded.model.join_pass(PassKind::kForward);
      const Pack& pack = packs[static_cast<size_t>(ranks.rank())];
      require(at::equal(sharded.model.forward(pack, {}), whole.model.forward(pack, {})), when);
    };
    evaluate("before training");
    evaluate("again");
    steps.make(packs, 0, whole_step(whole, packs, 0));
    evaluate("after a step");
    sharded.model.forward(packs[0], {});  // recorded, and never gone back through
    steps.make(packs, 1, whole_step(whole, packs, 1));
    for (Run* run : {&whole, &sharded}) run->adapter.disable();
    evaluate("without adapter");
    for (Run* run : {&whole, &sharded}) run->adapter.enable();
    evaluate("with it again");

    // A wider border than the model has.
    ParameterStore whole_store, sharded_store;
    const LoraOptions wide = {.rank = 24, .targets = {"all"}};
    for (Run* run : {&whole, &sharded}) run->adapter.disable();
    Adapter on_whole(whole.model, wide, whole_store),
        on_sharded(sharded.model, wide, sharded_store);
    for (auto [adapter, store] :
         {std::pair(&on_whole, &whole_store), std::pair(&on_sharded, &sharded_store)}) {
      store->allocate();
      adapter->attach(9);
      store->flat().add_(0.01);
      store->publish();
    }
    evaluate("with a wider adapter");
  });
}

TEST_CASE("Sharded base: generation steps are those of a whole base") {
  run_thread_ranks(2, [](Communicator& ranks) {
    const ModelConfig config = four_layers(PositionKind::kAlibi);
    const LoraOptions options = adapter_on({"all"});
    Run whole(config, at::kFloat, options, nullptr), sharded(config, at::kFloat, options, &ranks);
    std::vector<at::Tensor> hidden;
    for (Run* run : {&whole, &sharded}) {
      std::vector<LayerCache> cache = run->model.make_cache(1, 8);
      hidden.push_back(run->model.prefill(single_pack({5, 6, 7}), {2}, {0}, cache));
      hidden.push_back(run->model.decode({8}, {0}, {3}, cache));
    }
    require(at::equal(hidden[0], hidden[2]) && at::equal(hidden[1], hidden[3]), "hidden states");
  });
}

/// The digests of a folder, loaded whole and sharded, are the same.
void expect_equal_loading(const std::string& folder, int size, at::ScalarType type) {
  const std::string digest = Baichuan::load(folder, type)->digest();
  run_thread_ranks(size, [&](Communicator& ranks) {
    const auto model = Baichuan::load(folder, type, {}, &ranks);
    require(model->is_sharded() && model->digest() == digest, "digest of ", folder);
    const at::NoGradGuard no_grad;
    model->forward(single_pack({1, 2, 3}), {});
  });
}

TEST_CASE("Sharded base: loads from safetensors, shards of them and files of torch.save") {
  const auto size = GENERATE(2, 3, 5);
  const auto type = GENERATE(at::kFloat, at::kBFloat16);
  const TemporaryFolder folder, in_shards;
  const ModelConfig config = four_layers(PositionKind::kAlibi);
  const Weights weights = random_weights(config);
  write_model_folder(folder.path(), config, weights);
  expect_equal_loading(folder.path(), size, type);
  Baichuan::load(folder.path(), at::kFloat)->save(in_shards.path(), 20'000);
  REQUIRE(std::filesystem::exists(in_shards.file("model.safetensors.index.json")));
  expect_equal_loading(in_shards.path(), size, type);
  std::filesystem::remove(folder.file("model.safetensors"));
  write_pytorch_model(folder, weights);
  expect_equal_loading(folder.path(), size, type);
}

void require_refusal(const std::string& message, const std::function<void()>& call) {
  try {
    call();
  } catch (const Error& error) {
    require(error.what() == message, "expected ", message, ", got ", error.what());
    require(error.kind() == ErrorKind::kInput, "kind of ", message);
    return;
  }
  fail(ErrorKind::kInput, "must be refused: ", message);
}

TEST_CASE("Sharded base: refuses what needs whole weights") {
  run_thread_ranks(2, [](Communicator& ranks) {
    Run run(small_config(PositionKind::kAlibi), at::kFloat, adapter_on({"all"}), &ranks);
    Baichuan& model = run.model;
    ParameterStore store;
    require_refusal("adapter: lora.dora must be false with distributed.base: sharded, got true",
                    [&] { Adapter(model, {.dora = true}, store); });
    require_refusal("adapter: lora.init must be uniform with distributed.base: sharded, got pissa",
                    [&] { Adapter(model, {.start = LoraStart::kPissa}, store); });
    require_refusal(
        "model: train.parameters must be adapter with distributed.base: sharded, got full",
        [&] { model.add_parameters(store); });
    require_refusal("model: save must have all weights here, got a sharded base",
                    [&] { model.save("nowhere"); });
    require_refusal("model: tensors must have all weights here, got a sharded base",
                    [&] { model.tensors(); });
    require_refusal("adapter: merge must have all weights here, got a sharded base",
                    [&] { run.adapter.merge(); });
  });
}

}  // namespace
}  // namespace radgpt
