#include "libradgpt/eval/task_parser.h"

#include "libradgpt/base/error.h"

namespace radgpt {

LabelParser parser_of(const Task& task) {
  std::vector<LabelForms> forms;
  for (const auto& [value, answer] : task.labels) forms.push_back({answer, {}});
  try {
    return LabelParser(forms);
  } catch (const Error& error) {
    throw Error(error.kind(), concat("task ", task.name, ": ", error.what()));
  }
}

}  // namespace radgpt
