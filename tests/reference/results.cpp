#include "tests/reference/results.h"

#include <torch/types.h>

#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>

#include "libradgpt/base/error.h"
#include "libradgpt/formats/json.h"
#include "libradgpt/formats/safetensors.h"
#include "libradgpt/generate/generate.h"
#include "libradgpt/heads/head.h"
#include "libradgpt/lora/adapter.h"
#include "libradgpt/lora/adapter_config.h"
#include "libradgpt/model/baichuan.h"
#include "libradgpt/ops/head_cross_entropy.h"
#include "libradgpt/optim/adamw.h"

namespace radgpt {

namespace {

Pack read_pack(const nlohmann::json& entry) {
  Pack pack;
  entry.at("tokens").get_to(pack.tokens);
  entry.at("positions").get_to(pack.positions);
  entry.at("target_rows").get_to(pack.target_rows);
  entry.at("targets").get_to(pack.targets);
  entry.at("target_weights").get_to(pack.target_weights);
  for (const auto& segment : entry.at("segments")) {
    pack.segments.push_back({segment.at(0), segment.at(1), segment.at(2), segment.at(3)});
  }
  return pack;
}

/// The model of a job with what is trained of it.
class Subject {
 public:
  Subject(const JobFolders& folders, const Job& job)
      : model_(Baichuan::load(folders.model, at::kFloat)),
        head_(make_head("causal_lm", {.model = *model_})) {
    if (folders.adapter.empty()) {
      model_->add_parameters(store_);
      store_.allocate();
    } else {
      attach_adapter(folders.adapter, job);
    }
  }

  const Baichuan& model() const { return *model_; }
  ParameterStore& store() { return store_; }

  /// From here on all weights are trained, if no adapter is.
  void start_training() {
    if (adapter_) return;
    model_->bind_parameters(store_);
    store_.publish();
  }

  /// Writes adapter and model as they are now. The adapter is part of the model after that.
  void save(const JobFolders& folders) {
    if (adapter_) {
      adapter_->save(folders.trained_adapter, folders.model);
      adapter_->merge();
    }
    model_->save(folders.trained_model);
  }

  at::Tensor logits(const Pack& pack) const {
    const at::NoGradGuard no_grad;
    return head_logits(model_->forward(pack, {}), model_->head());
  }

  at::Tensor loss(const Pack& pack) const {
    const at::Tensor hidden = model_->forward(pack, {}, head_->rows(pack));
    return head_->forward(hidden, pack, head_->weight(pack)).loss;
  }

 private:
  void attach_adapter(const std::string& folder, const Job& job) {
    LoraOptions options = read_adapter_config(folder).options;
    options.loraplus_ratio = job.loraplus_ratio;
    if (job.pissa) options.start = LoraStart::kPissa;
    adapter_ = std::make_unique<Adapter>(*model_, options, store_);
    store_.allocate();
    adapter_->attach(0);
    if (!job.pissa) adapter_->load(folder);
  }

  std::unique_ptr<Baichuan> model_;
  std::unique_ptr<Head> head_;
  ParameterStore store_;
  std::unique_ptr<Adapter> adapter_;
};

void add_logits(const Subject& subject, const Job& job, const std::string& name, Results& results) {
  for (size_t i = 0; i < job.packs.size(); ++i) {
    results[concat(name, ".", i)] = subject.logits(job.packs[i]);
  }
}

Pack pack_of_beginnings(const Job& job) {
  Pack pack;
  for (const std::vector<int64_t>& sequence : job.sequences) {
    const auto begin = static_cast<int32_t>(pack.size());
    for (int64_t i = 0; i < job.prefilled; ++i) {
      pack.tokens.push_back(sequence.at(i));
      pack.positions.push_back(i);
    }
    pack.segments.push_back({begin, static_cast<int32_t>(pack.size()), 0, 0});
  }
  return pack;
}

// All sequences go on together as long as they have tokens.
void add_decoded(const Subject& subject, const Job& job, Results& results) {
  const auto count = static_cast<int32_t>(job.sequences.size());
  std::vector<int32_t> all;
  std::vector<int64_t> last_rows;
  size_t longest = 0;
  for (int32_t i = 0; i < count; ++i) {
    all.push_back(i);
    last_rows.push_back((i + 1) * job.prefilled - 1);
    longest = std::max(longest, job.sequences[i].size());
  }
  const Baichuan& model = subject.model();
  std::vector<LayerCache> cache = model.make_cache(count, static_cast<int64_t>(longest));
  std::vector<std::vector<at::Tensor>> rows(count);
  const auto keep = [&](const at::Tensor& hidden, const std::vector<int32_t>& sequences) {
    const at::Tensor logits = head_logits(hidden, model.head());
    for (size_t i = 0; i < sequences.size(); ++i) {
      rows[sequences[i]].push_back(logits[static_cast<int64_t>(i)]);
    }
  };
  keep(model.prefill(pack_of_beginnings(job), last_rows, all, cache), all);
  for (auto length = static_cast<size_t>(job.prefilled); length < longest; ++length) {
    std::vector<int64_t> tokens;
    std::vector<int32_t> sequences;
    for (int32_t i = 0; i < count; ++i) {
      if (job.sequences[i].size() <= length) continue;
      tokens.push_back(job.sequences[i][length]);
      sequences.push_back(i);
    }
    const std::vector<int32_t> lengths(tokens.size(), static_cast<int32_t>(length));
    keep(model.decode(tokens, sequences, lengths, cache), sequences);
  }
  for (int32_t i = 0; i < count; ++i) results[concat("decoded.", i)] = at::stack(rows[i]);
}

void add_generated(const Subject& subject, const Job& job, Results& results) {
  const auto answers =
      generate(subject.model(), job.prompts, {.max_new_tokens = job.new_tokens, .batch = 2});
  for (size_t i = 0; i < answers.size(); ++i) {
    results[concat("generated.", i)] = at::tensor(answers[i].ids, at::kLong);
  }
}

void add_gradients(Subject& subject, const Job& job, Results& results) {
  ParameterStore& store = subject.store();
  store.flat_gradient().zero_();
  subject.loss(job.packs.at(0)).backward();
  for (size_t i = 0; i < store.size(); ++i) {
    results["gradient." + store.spec(i).name] = store.gradient(i).clone();
  }
}

void add_steps(Subject& subject, const Job& job, Results& results) {
  ParameterStore& store = subject.store();
  AdamW optimizer(store, {.weight_decay = job.weight_decay});
  std::vector<float> losses;
  for (int64_t step = 0; step < job.steps; ++step) {
    store.flat_gradient().zero_();
    const at::Tensor loss = subject.loss(job.packs[static_cast<size_t>(step) % job.packs.size()]);
    loss.backward();
    losses.push_back(loss.item<float>());
    const double norm = gradient_norm(store.flat_gradient());
    optimizer.step(job.learning_rate, norm > job.clip_norm ? job.clip_norm / norm : 1.0);
  }
  results["step_losses"] = at::tensor(losses);
}

std::span<std::byte> bytes_of(const at::Tensor& tensor) {
  return {static_cast<std::byte*>(tensor.data_ptr()), tensor.nbytes()};
}

}  // namespace

Job read_job(const std::string& path) {
  const nlohmann::json entries = read_json_file(path, 1 << 20);
  Job job;
  for (const auto& pack : entries.at("packs")) job.packs.push_back(read_pack(pack));
  entries.at("sequences").get_to(job.sequences);
  entries.at("prefilled").get_to(job.prefilled);
  entries.at("prompts").get_to(job.prompts);
  entries.at("new_tokens").get_to(job.new_tokens);
  entries.at("steps").get_to(job.steps);
  entries.at("learning_rate").get_to(job.learning_rate);
  entries.at("weight_decay").get_to(job.weight_decay);
  entries.at("clip_norm").get_to(job.clip_norm);
  entries.at("loraplus_ratio").get_to(job.loraplus_ratio);
  entries.at("pissa").get_to(job.pissa);
  return job;
}

Results compute_results(const JobFolders& folders, const Job& job) {
  Subject subject(folders, job);
  Results results;
  add_logits(subject, job, "logits", results);
  add_decoded(subject, job, results);
  add_generated(subject, job, results);
  subject.start_training();
  std::vector<float> losses;
  for (const Pack& pack : job.packs) losses.push_back(subject.loss(pack).item<float>());
  results["losses"] = at::tensor(losses);
  add_gradients(subject, job, results);
  add_steps(subject, job, results);
  add_logits(subject, job, "trained_logits", results);
  subject.save(folders);
  return results;
}

void write_results(const std::string& path, const Results& results) {
  std::vector<at::Tensor> kept;
  std::vector<TensorBytes> tensors;
  for (const auto& [name, values] : results) {
    kept.push_back(values.detach().contiguous());
    const DataType type = values.scalar_type() == at::kLong ? DataType::kI64 : DataType::kF32;
    tensors.push_back({{name, type, values.sizes().vec()}, bytes_of(kept.back())});
  }
  write_safetensors(path, tensors);
}

Results read_results(const std::string& path) {
  const SafetensorsFile file(path);
  Results results;
  for (const TensorInfo& tensor : file.tensors()) {
    at::Tensor& values = results[tensor.name];
    values = at::empty(tensor.shape, tensor.dtype == DataType::kI64 ? at::kLong : at::kFloat);
    file.read(tensor, bytes_of(values));
  }
  return results;
}

}  // namespace radgpt
