// A head of one's own: this file, and its last line.
//
// Rare findings drown in normal reports. The focal loss (Lin et al., arXiv 1708.02002) turns the
// loss of what is answered well already down, so that the rare ones are heard:
//
//   loss = sum over examples of -(1 - p)^2 log p,   p = softmax(W h)[class]
//
// with h the hidden state that has read the whole prompt. A recipe asks for it with
// `train: {head: focal, head_task: NAME}`.
#include <ATen/ATen.h>

#include "libradgpt/heads/head.h"

namespace {

using namespace radgpt;

class FocalHead : public Head {
 public:
  explicit FocalHead(const HeadContext& context) : context_(context) {}

  int64_t terms(const Pack& pack) const override {
    return static_cast<int64_t>(classified(pack).rows.size());
  }

  HeadOutput forward(const at::Tensor& hidden, const Pack& pack, double divisor) const override {
    const Classified examples = classified(pack);
    if (examples.rows.empty()) return no_terms(hidden);
    const at::Tensor log_p = at::log_softmax(logits(hidden, examples.rows), 1)
                                 .gather(1, at::tensor(examples.classes).unsqueeze(1));
    const at::Tensor sum = -((1 - log_p.exp()).square() * log_p).sum();
    return {.loss = sum / divisor,
            .loss_sum = sum.item<double>(),
            .terms = static_cast<int64_t>(examples.rows.size())};
  }

  // The head's own parameter lives with the run's others: trained, checkpointed and saved by them.
  void add_parameters(ParameterStore& store) override {
    parameter_ = store.add(
        {"base_model.model.focal.weight", {context_.classes, context_.model.config().hidden_size}});
  }
  void bind_parameters(ParameterStore& store) override { weight_ = store.master(parameter_); }

  at::Tensor class_probabilities(const at::Tensor& hidden, const Pack& pack) const override {
    std::vector<int64_t> rows;
    for (const PackedExample& example : pack.examples) rows.push_back(example.answer_row);
    return at::softmax(logits(hidden, rows).detach(), 1);
  }

 private:
  struct Classified {
    std::vector<int64_t> rows;
    std::vector<int64_t> classes;
  };

  Classified classified(const Pack& pack) const {
    Classified found;
    for (const PackedExample& example : pack.examples) {
      const int one = context_.example_classes.at(example.example);
      if (one < 0) continue;
      found.rows.push_back(example.answer_row);
      found.classes.push_back(one);
    }
    return found;
  }

  at::Tensor logits(const at::Tensor& hidden, const std::vector<int64_t>& rows) const {
    return hidden.index_select(0, at::tensor(rows)).to(at::kFloat).mm(weight_.t());
  }

  HeadContext context_;
  size_t parameter_ = 0;
  at::Tensor weight_;
};

const bool registered = register_head(
    "focal", [](const HeadContext& context) { return std::make_unique<FocalHead>(context); });

}  // namespace
