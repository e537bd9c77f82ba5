#pragma once

#include <memory>
#include <string>
#include <vector>

#include "libradgpt/lora/adapter.h"
#include "libradgpt/model/baichuan.h"

namespace radgpt {

/// Several adapters on one base, which is loaded once: all tokens take one of them, or the rows of
/// a batch each their own (Pack::adapters, GenerationOptions::adapters).
///
/// Holds of each adapter what a ParameterStore holds (its numbers in fp32, and gradients) and A in
/// the model's type, and the border of the weights once, for the one that is selected. An adapter
/// with DoRA can be selected, which reads all weights it adapts, but not be chosen by rows: that
/// throws Error(kInput). The model must outlive it; one set a model.
class AdapterSet {
 public:
  explicit AdapterSet(Baichuan& model) : model_(model) {}
  AdapterSet(const AdapterSet&) = delete;
  AdapterSet& operator=(const AdapterSet&) = delete;
  ~AdapterSet();

  /// Loads the adapter of a folder (PEFT's layout) and returns its number, from 0 on. It is not
  /// selected. Throws Error(kInput) as read_adapter_config and Adapter::load do, and is as before.
  int load(const std::string& folder);
  int size() const { return static_cast<int>(loaded_.size()); }

  /// All tokens take this adapter from now on, unless a batch says otherwise; -1: none. Writes the
  /// adapter's numbers into the borders. Throws Error(kInput) for a number that is none.
  void select(int number);
  int selected() const { return selected_; }

 private:
  struct Loaded {
    ParameterStore store;
    std::unique_ptr<Adapter> adapter;
  };

  Baichuan& model_;
  std::vector<std::unique_ptr<Loaded>> loaded_;
  int selected_ = -1;
};

}  // namespace radgpt
