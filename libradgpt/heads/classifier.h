#pragma once

#include "libradgpt/heads/head.h"

namespace radgpt {

/// One of a fixed list of classes, read off the hidden state h that has seen the whole prompt
/// (PackedExample::answer_row): softmax(W h) with an fp32 W [classes, hidden], without bias.
///
/// The terms are the examples with a class; each is -weight[class] * log softmax(W h)[class].
/// Its parameter is `base_model.model.classifier.weight`, at first normal(0, initializer_range).
class ClassifierHead : public Head {
 public:
  /// Throws Error(kInput) for fewer than two classes, a class out of range, or class weights that
  /// are not one positive number a class.
  explicit ClassifierHead(const HeadContext& context);

  int64_t terms(const Pack& pack) const override;
  std::vector<int64_t> rows(const Pack& pack) const override;
  HeadOutput forward(const at::Tensor& hidden, const Pack& pack, double divisor) const override;
  void add_parameters(ParameterStore& store) override;
  void bind_parameters(ParameterStore& store) override;
  at::Tensor class_probabilities(const at::Tensor& hidden, const Pack& pack) const override;

 private:
  at::Tensor logits(const at::Tensor& hidden, const Pack& pack) const;

  HeadContext context_;
  size_t parameter_ = 0;
  at::Tensor weight_;
};

}  // namespace radgpt
