#pragma once

#include <ATen/core/Tensor.h>

#include <map>
#include <string>
#include <vector>

#include "libradgpt/base/pack.h"

namespace radgpt {

/// What libradgpt and tests/reference compute, each on its own; job.json as tiny_models.py writes
/// it.
struct Job {
  std::vector<Pack> packs;
  std::vector<std::vector<int64_t>> sequences;  ///< read with a cache, token by token
  int64_t prefilled = 0;                        ///< tokens of each that are read at once
  std::vector<std::vector<int32_t>> prompts;    ///< of greedy generation
  int64_t new_tokens = 0;
  int64_t steps = 0;  ///< of AdamW; step k learns pack k modulo their number
  double learning_rate = 0;
  double weight_decay = 0;
  double clip_norm = 0;
  double loraplus_ratio = 1;
  bool pissa = false;  ///< the adapter's folder gives its config alone: it starts from the base
};

Job read_job(const std::string& path);

/// Folders of a comparison. Without an adapter all parameters are trained.
struct JobFolders {
  std::string model;
  std::string adapter = {};          ///< empty: none
  std::string trained_model;         ///< after the steps, with the adapter merged into it
  std::string trained_adapter = {};  ///< after the steps, where there is one
};

/// By name, in fp32 on the CPU:
///
///   logits.I, trained_logits.I   [tokens, vocabulary]   of pack I before and after the steps
///   losses                       [packs]   mean over the targets of each
///   decoded.I                    [tokens - prefilled + 1, vocabulary]   sequence I, with a cache
///   generated.I                  [tokens] int64   answer to prompt I
///   gradient.NAME                of the loss of pack 0
///   step_losses                  [steps]
using Results = std::map<std::string, at::Tensor>;

Results compute_results(const JobFolders& folders, const Job& job);

void write_results(const std::string& path, const Results& results);
Results read_results(const std::string& path);

}  // namespace radgpt
