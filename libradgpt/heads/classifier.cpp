#include "libradgpt/heads/classifier.h"

#include <torch/types.h>

#include <algorithm>

#include "libradgpt/base/error.h"
#include "libradgpt/model/random_tensor.h"

namespace radgpt {

namespace {

int class_of(const HeadContext& context, const PackedExample& example) {
  return context.example_classes.at(example.example);
}

}  // namespace

ClassifierHead::ClassifierHead(const HeadContext& context) : context_(context) {
  require(context.classes >= 2, "classifier: needs at least 2 classes, got ", context.classes);
  for (const int one : context.example_classes) {
    require(one >= -1 && one < context.classes, "classifier: a class must be in [0, ",
            context.classes, ") or -1, got ", one);
  }
  if (context_.class_weights.empty()) context_.class_weights.assign(context.classes, 1.0);
  const std::vector<double>& weights = context_.class_weights;
  require(static_cast<int>(weights.size()) == context.classes &&
              std::all_of(weights.begin(), weights.end(), [](double w) { return w > 0; }),
          "classifier: class weights must be ", context.classes, " positive numbers, got ",
          weights.size());
}

int64_t ClassifierHead::terms(const Pack& pack) const {
  return std::count_if(pack.examples.begin(), pack.examples.end(),
                       [&](const PackedExample& one) { return class_of(context_, one) >= 0; });
}

void ClassifierHead::add_parameters(ParameterStore& store) {
  parameter_ = store.add({"base_model.model.classifier.weight",
                          {context_.classes, context_.model.config().hidden_size}});
}

void ClassifierHead::bind_parameters(ParameterStore& store) {
  weight_ = store.master(parameter_);
  fill_normal(weight_.detach(), {context_.seed, kHeadTensors},
              context_.model.config().initializer_range);
}

std::vector<int64_t> ClassifierHead::rows(const Pack& pack) const {
  std::vector<int64_t> answers;
  for (const PackedExample& example : pack.examples) answers.push_back(example.answer_row);
  return answers;
}

// [examples of the pack, classes]
at::Tensor ClassifierHead::logits(const at::Tensor& hidden, const Pack& pack) const {
  return read_rows(hidden, pack).to(at::kFloat).mm(weight_.t());
}

HeadOutput ClassifierHead::forward(const at::Tensor& hidden, const Pack& pack,
                                   double divisor) const {
  std::vector<int64_t> places, classes;  // of the examples with a class
  std::vector<float> weights;
  for (size_t i = 0; i < pack.examples.size(); ++i) {
    const int one = class_of(context_, pack.examples[i]);
    if (one < 0) continue;
    places.push_back(static_cast<int64_t>(i));
    classes.push_back(one);
    weights.push_back(static_cast<float>(context_.class_weights[one]));
  }
  if (places.empty()) return no_terms(hidden);
  const auto on_device = [&](const at::Tensor& values) { return values.to(hidden.device()); };
  const at::Tensor chosen = at::log_softmax(logits(hidden, pack), 1)
                                .index_select(0, on_device(at::tensor(places, at::kLong)))
                                .gather(1, on_device(at::tensor(classes, at::kLong)).unsqueeze(1))
                                .squeeze(1);
  const at::Tensor sum = -(chosen * on_device(at::tensor(weights, at::kFloat))).sum();
  return {.loss = sum / divisor,
          .loss_sum = sum.item<double>(),
          .terms = static_cast<int64_t>(places.size())};
}

at::Tensor ClassifierHead::class_probabilities(const at::Tensor& hidden, const Pack& pack) const {
  const at::NoGradGuard no_grad;
  return at::softmax(logits(hidden, pack), 1);
}

}  // namespace radgpt
