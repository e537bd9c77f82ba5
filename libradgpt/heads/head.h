#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "libradgpt/base/pack.h"
#include "libradgpt/model/baichuan.h"
#include "libradgpt/ops/parameter_store.h"

namespace radgpt {

/// What a head makes of a pack.
struct HeadOutput {
  at::Tensor loss;  ///< fp32 scalar: weighted sum over the terms / divisor; carries the gradient
  double loss_sum = 0;  ///< weighted sum over the terms
  int64_t terms = 0;    ///< number of the terms
};

/// What a head is made from. The model must outlive the head.
struct HeadContext {
  const Baichuan& model;
  /// Class of every example, by PackedExample::example, those of training before those of
  /// validation; -1 has none. Empty where the run has no classification.
  std::vector<int> example_classes = {};
  int classes = 0;  ///< of the task that the head answers; 0: none
  /// Weight of each class in the loss; empty = all 1.
  std::vector<double> class_weights = {};
  uint64_t seed = 0;  ///< of the first values of its parameters
};

/// Turns hidden states into a loss. A head sees packs of whole examples and is asked twice for
/// each: `terms` before anything is computed, so that the loss of a global batch can be divided by
/// its whole number of terms, and `forward`.
///
/// A head with parameters of its own keeps them in the run's ParameterStore, where they are
/// updated, checkpointed and saved beside the adapter: add_parameters names them,
/// `base_model.model.NAME.weight` as PEFT does, bind_parameters gives them their first values.
class Head {
 public:
  virtual ~Head() = default;

  /// Number of loss terms (targets, examples, …) in a pack.
  virtual int64_t terms(const Pack& pack) const = 0;
  /// Sum of the weights of these terms, what the loss of a global batch is divided by.
  virtual double weight(const Pack& pack) const { return static_cast<double>(terms(pack)); }
  /// Rows of the pack that the head reads, ascending; at first all. The model can spare the others
  /// most of its last layer: Baichuan::forward(pack, key, rows(pack)).
  virtual std::vector<int64_t> rows(const Pack& pack) const;
  /// hidden: hidden states of rows(pack), or of all tokens of the pack.
  virtual HeadOutput forward(const at::Tensor& hidden, const Pack& pack, double divisor) const = 0;

  /// Before store.allocate().
  virtual void add_parameters(ParameterStore&) {}
  /// After store.allocate(). The store outlives the head.
  virtual void bind_parameters(ParameterStore&) {}

  /// Class probabilities of every example of the pack, [examples, classes] fp32 without gradient;
  /// undefined for a head that does not classify. `hidden` as in forward.
  virtual at::Tensor class_probabilities(const at::Tensor& /*hidden*/, const Pack& /*pack*/) const {
    return {};
  }

 protected:
  /// The hidden states of rows(pack), whichever of the two `hidden` is.
  at::Tensor read_rows(const at::Tensor& hidden, const Pack& pack) const;
};

/// The loss of a pack without terms: 0, and so are its gradients.
HeadOutput no_terms(const at::Tensor& hidden);

/// Makes the head of a run.
using HeadFactory = std::function<std::unique_ptr<Head>(const HeadContext&)>;

/// Makes `name` known to recipes and make_head; returns true, so that one line at namespace scope
/// does it. Throws Error(kUsage) for a name that is taken.
bool register_head(const std::string& name, HeadFactory factory);

/// `causal_lm`, `classifier`, or a registered one. Throws Error(kInput) listing the known names.
std::unique_ptr<Head> make_head(const std::string& name, const HeadContext& context);

/// All known names, sorted.
std::vector<std::string> head_names();

}  // namespace radgpt
