#pragma once

#include <string>
#include <vector>

#include "libradgpt/data/task.h"

namespace radgpt {

/// A template of a task that no report can fill.
struct TemplateFault {
  std::string key;   ///< context, question or answer
  std::string rule;  ///< what it must be, and what it is
};

/// At most one for each template; the task's labels are not looked at.
std::vector<TemplateFault> find_template_faults(const Task& task);

}  // namespace radgpt
