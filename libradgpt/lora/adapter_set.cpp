#include "libradgpt/lora/adapter_set.h"

#include "libradgpt/base/error.h"

namespace radgpt {

AdapterSet::~AdapterSet() { model_.clear_choices(); }

int AdapterSet::load(const std::string& folder) {
  const int before = selected_;
  select(-1);
  auto loaded = std::make_unique<Loaded>();
  try {
    loaded->adapter = load_adapter(model_, folder, loaded->store);
  } catch (...) {
    select(before);
    throw;
  }
  loaded->adapter->disable();
  const int number = model_.add_choice();
  const std::vector<LoraModule>& modules = loaded->adapter->modules();
  for (size_t i = 0; i < modules.size(); ++i) {
    model_.linear(modules[i].layer, modules[i].target->kind)
        .choices[number]
        .push_back(loaded->adapter->pairs()[i]);
  }
  loaded_.push_back(std::move(loaded));
  select(before);
  return number;
}

void AdapterSet::select(int number) {
  require(number >= -1 && number < size(), "adapters: number must be in [-1, ", size(), "), got ",
          number);
  if (number == selected_) return;
  if (selected_ >= 0) loaded_[selected_]->adapter->disable();
  selected_ = -1;
  if (number >= 0) loaded_[number]->adapter->enable();
  selected_ = number;
}

}  // namespace radgpt
