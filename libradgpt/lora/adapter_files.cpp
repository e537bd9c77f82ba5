#include <torch/types.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "libradgpt/base/error.h"
#include "libradgpt/formats/data_type.h"
#include "libradgpt/lora/adapter.h"
#include "libradgpt/lora/adapter_config.h"
#include "libradgpt/lora/adapter_tensors.h"

namespace radgpt {

namespace {

// Indices of the store's parameters by name, in ascending order of names.
std::map<std::string, size_t> parameters_by_name(const ParameterStore& store) {
  std::map<std::string, size_t> by_name;
  for (size_t i = 0; i < store.size(); ++i) by_name[store.spec(i).name] = i;
  return by_name;
}

void check_tensors(const AdapterTensors& file, const ParameterStore& store,
                   const std::map<std::string, size_t>& wanted) {
  for (const auto& [name, index] : wanted) {
    const auto tensor = file.tensors.find(name);
    require(tensor != file.tensors.end(), file.path, ": lacks ", name, " (has ",
            file.tensors.size(), " tensors, needs ", wanted.size(), ")");
    const Shape& shape = store.spec(index).shape;
    require(tensor->second.sizes() == at::IntArrayRef(shape), file.path, ": ", name,
            ": shape must be ", to_text(shape), ", got ", to_text(tensor->second.sizes().vec()));
  }
  for (const auto& [name, tensor] : file.tensors) {
    require(wanted.count(name) == 1, file.path, ": ", name,
            ": must belong to a linear that adapter_config.json targets in this model, or to the "
            "head in use");
  }
}

/// Options of the adapter that save writes for one that took its start out of the base: with the
/// start beside what was trained, at the same scale,
///
///   B A - B0 A0 = [B | -B0] [A over A0]
void double_rank(LoraOptions& options) {
  const double factor = options.rslora ? std::sqrt(2.0) : 2.0;  // keeps the scale
  options.rank *= 2;
  options.alpha *= factor;
  for (auto& [pattern, rank] : options.rank_pattern) rank *= 2;
  for (auto& [pattern, alpha] : options.alpha_pattern) alpha *= factor;
}

}  // namespace

// NAME of every `base_model.model.NAME.weight` of the store that is not of the adapter.
std::vector<std::string> Adapter::modules_of_heads() const {
  std::set<size_t> own;
  for (const Numbers& numbers : numbers_) {
    own.insert({numbers.a, numbers.b});
    if (numbers.magnitude) own.insert(*numbers.magnitude);
  }
  std::vector<std::string> modules;
  for (size_t i = 0; i < store_.size(); ++i) {
    if (own.count(i)) continue;
    std::string name = store_.spec(i).name;
    if (name.starts_with(kPeftPrefix)) name.erase(0, kPeftPrefix.size());
    modules.push_back(name.substr(0, name.find('.')));
  }
  return modules;
}

void Adapter::save(const std::string& folder, const std::string& base) const {
  const at::NoGradGuard no_grad;
  std::map<std::string, at::Tensor> tensors;
  for (size_t i = 0; i < store_.size(); ++i) tensors[store_.spec(i).name] = store_.master(i);
  LoraOptions options = options_;
  if (!starts_.empty()) double_rank(options);
  for (size_t i = 0; i < starts_.size(); ++i) {
    at::Tensor& a = tensors.at(store_.spec(numbers_[i].a).name);
    at::Tensor& b = tensors.at(store_.spec(numbers_[i].b).name);
    a = at::cat({a, starts_[i].a}, 0);
    b = at::cat({b, -starts_[i].b}, 1);
  }
  write_adapter_tensors(folder, tensors, model_.fingerprint());
  write_adapter_config(folder, {options, base, modules_of_heads()});
}

void Adapter::load(const std::string& folder) {
  const at::NoGradGuard no_grad;
  const std::vector<std::string> own = modules_of_heads();
  for (const std::string& head : read_adapter_config(folder).heads) {
    require(std::find(own.begin(), own.end(), head) != own.end(), folder,
            "/adapter_config.json: modules_to_save: must be absent or name the head in use, got ",
            head);
  }
  const AdapterTensors file = read_adapter_tensors(folder);
  const auto wanted = parameters_by_name(store_);
  check_tensors(file, store_, wanted);
  require(file.base.empty() || file.base == model_.fingerprint(), file.path,
          ": must be of an adapter trained on this base, got one of another base of its shape");
  for (const auto& [name, index] : wanted) {
    store_.master(index).detach().copy_(file.tensors.at(name));
  }
  store_.publish();
}

std::unique_ptr<Adapter> load_adapter(Baichuan& model, const std::string& folder,
                                      ParameterStore& store) {
  const AdapterConfig config = read_adapter_config(folder);
  auto adapter = std::make_unique<Adapter>(model, config.options, store);
  store.allocate(model.device());
  adapter->attach(0);
  adapter->load(folder);
  return adapter;
}

}  // namespace radgpt
