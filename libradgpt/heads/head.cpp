#include "libradgpt/heads/head.h"

#include <map>
#include <mutex>

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
