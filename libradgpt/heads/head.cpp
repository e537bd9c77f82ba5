#include "libradgpt/heads/head.h"

#include <torch/types.h>

#include <map>
#include <mutex>
#include <numeric>

#include "libradgpt/base/error.h"
#include "libradgpt/heads/causal_lm.h"
#include "libradgpt/heads/classifier.h"

namespace radgpt {

namespace {

struct Registry {
  std::mutex mutex;
  std::map<std::string, HeadFactory> factories = {
      {"causal_lm",
       [](const HeadContext& context) { return std::make_unique<CausalLmHead>(context); }},
      {"classifier",
       [](const HeadContext& context) { return std::make_unique<ClassifierHead>(context); }},
  };
};

// Made at first use, so that it is there whichever file's registrations run first.
Registry& registry() {
  static Registry only;
  return only;
}

}  // namespace

std::vector<int64_t> Head::rows(const Pack& pack) const {
  std::vector<int64_t> all(pack.tokens.size());
  std::iota(all.begin(), all.end(), 0);
  return all;
}

at::Tensor Head::read_rows(const at::Tensor& hidden, const Pack& pack) const {
  const std::vector<int64_t> wanted = rows(pack);
  const auto count = static_cast<int64_t>(wanted.size());
  if (hidden.size(0) == count) return hidden;
  require(hidden.size(0) == pack.size(), "heads: hidden states must be those of ", count,
          " rows or of all ", pack.size(), " tokens of the pack, got ", hidden.size(0));
  return hidden.index_select(0, at::tensor(wanted, at::kLong).to(hidden.device()));
}

HeadOutput no_terms(const at::Tensor& hidden) {
  return {.loss = hidden.narrow(0, 0, 0).to(at::kFloat).sum()};
}

bool register_head(const std::string& name, HeadFactory factory) {
  Registry& all = registry();
  const std::lock_guard lock(all.mutex);
  if (!all.factories.emplace(name, std::move(factory)).second) {
    fail(ErrorKind::kUsage, "heads: a head named ", name, " is registered already");
  }
  return true;
}

std::unique_ptr<Head> make_head(const std::string& name, const HeadContext& context) {
  HeadFactory factory;
  {
    Registry& all = registry();
    const std::lock_guard lock(all.mutex);
    const auto found = all.factories.find(name);
    if (found != all.factories.end()) factory = found->second;
  }
  if (factory) return factory(context);
  std::string known;
  for (const std::string& one : head_names()) known += (known.empty() ? "" : ", ") + one;
  fail(ErrorKind::kInput, "heads: the head must be one of ", known, ", got ", name);
}

std::vector<std::string> head_names() {
  Registry& all = registry();
  const std::lock_guard lock(all.mutex);
  std::vector<std::string> names;
  for (const auto& [name, factory] : all.factories) names.push_back(name);
  return names;
}

}  // namespace radgpt
