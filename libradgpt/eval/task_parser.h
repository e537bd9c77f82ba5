#pragma once

#include "libradgpt/data/task.h"
#include "libradgpt/eval/metrics/label_parser.h"

namespace radgpt {

/// Finds the labels of a task in what a model says in its own words; none for a generation.
/// Throws Error(kInput) naming the task if two labels read the same.
LabelParser parser_of(const Task& task);

}  // namespace radgpt
