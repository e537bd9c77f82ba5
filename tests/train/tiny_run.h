#pragma once

#include <torch/types.h>

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "libradgpt/base/hash.h"
#include "libradgpt/base/random.h"
#include "libradgpt/config/recipe_file.h"
#include "libradgpt/lora/adapter.h"
#include "libradgpt/train/options.h"
#include "libradgpt/train/trainer.h"
#include "tests/device/test_type.h"

namespace radgpt {

inline constexpr int32_t kVocabulary = 300;

inline ModelConfig tiny_config(PositionKind position) {
  ModelConfig config;
  config.position = position;
  config.vocab_size = kVocabulary;
  config.hidden_size = 32;
  config.intermediate_size = 48;
  config.num_hidden_layers = 2;
  config.num_attention_heads = 2;
  return config;
}

/// Reports of five ids with two questions each; the answer repeats the first two ids of the report.
inline TokenDataset tiny_dataset(int reports) {
  TokenDataset dataset;
  Random random(5, RandomStream::kSimulation);
  for (int report = 0; report < reports; ++report) {
    TokenGroup group;
    group.begin = dataset.size();
    group.prefix = {kUserId};
    for (int i = 0; i < 5; ++i) {
      group.prefix.push_back(static_cast<int32_t>(200 + random.next_below(90)));
    }
    for (int32_t question = 0; question < 2; ++question) {
      TokenExample example;
      example.group = static_cast<int32_t>(dataset.groups.size());
      example.report = report;
      example.branch = {kNewlineId, 100 + question, kAssistantId, group.prefix[1]};
      example.targets = {kNoTarget, kNoTarget, group.prefix[1], group.prefix[2]};
      example.answer_row = 2;
      dataset.examples.push_back(example);
    }
    group.end = dataset.size();
    dataset.groups.push_back(group);
  }
  return dataset;
}

inline Recipe tiny_recipe(const std::vector<std::string>& overrides) {
  const std::string text =
      "model: {path: unused, max_length: 32}\n"
      "data: {sources: [{reports: [unused.jsonl]}]}\n"
      "lora: {rank: 4, alpha: 8, dropout: 0.1, targets: [all]}\n"
      "optim: {learning_rate: 0.01}\n"
      "train: {epochs: 3, pack_tokens: 64, packs_per_step: 3, seed: 11}\n"
      "output: {folder: unused}\n";
  return parse_recipe(text, "tiny.yaml", overrides);
}

class Listener : public RunObserver {
 public:
  void on_step(const StepRecord& record) override {
    losses.push_back(record.loss);
    if (stop != nullptr && record.step == stop_at) *stop = true;
  }
  void on_evaluation(const EvaluationRecord& record) override { evaluations.push_back(record); }
  void on_note(const std::string&) override {}

  std::vector<double> losses;
  std::vector<EvaluationRecord> evaluations;
  std::atomic<bool>* stop = nullptr;
  int64_t stop_at = 0;
};

/// A model, its adapter and a trainer on a checkpoint folder.
struct TinyRun {
  TinyRun(const std::string& folder, const std::vector<std::string>& overrides = {},
          at::ScalarType type = test_type(), PositionKind position = PositionKind::kRope,
          Communicator* given = nullptr)
      : recipe(tiny_recipe(overrides)),
        training(tiny_dataset(40)),
        validation(tiny_dataset(8)),
        model(tiny_config(position), type),
        ranks(given == nullptr ? alone : *given) {
    if (ranks.rank() == 0) checkpoints.emplace(folder, 2, Identity{{"recipe", "x"}});
    model.initialise(3);
    adapter = std::make_unique<Adapter>(model, lora_options(recipe), store);
    store.allocate();
    adapter->attach(7);
    head = make_head("causal_lm", {model});
    trainer = std::make_unique<Trainer>(parts(*head), recipe, stop);
  }

  TrainerParts parts(Head& trained) {
    return {
        model, trained, store, training, validation, ranks, checkpoints ? &*checkpoints : nullptr};
  }

  std::string digest() const {
    const at::Tensor flat = store.flat();
    return to_hex(sha256({static_cast<const char*>(flat.const_data_ptr()), flat.nbytes()}));
  }

  Recipe recipe;
  TokenDataset training;
  TokenDataset validation;
  Baichuan model;
  ParameterStore store;
  std::unique_ptr<Adapter> adapter;
  std::unique_ptr<Head> head;
  Communicator alone;
  Communicator& ranks;
  std::optional<CheckpointStore> checkpoints;
  std::atomic<bool> stop{false};
  Listener listener;
  std::unique_ptr<Trainer> trainer;
};

}  // namespace radgpt
