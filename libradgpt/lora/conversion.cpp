#include "libradgpt/lora/conversion.h"

#include <torch/types.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <set>
#include <vector>

#include "libradgpt/base/error.h"
#include "libradgpt/lora/adapter_config.h"
#include "libradgpt/lora/adapter_tensors.h"
#include "libradgpt/lora/targets.h"

namespace radgpt {

namespace {

constexpr int kMostLayers = 4096;

/// What all pairs of a file have in common.
struct Source {
  std::string path;
  bool rslora = false;
};

/// One low-rank pair as files have it.
struct Pair {
  LoraModule module;
  at::Tensor a;
  at::Tensor b;
  at::Tensor magnitude;  ///< undefined without DoRA
};

const LoraTarget& target_named(std::string_view name) {
  return *std::find_if(kLoraTargets.begin(), kLoraTargets.end(),
                       [=](const LoraTarget& target) { return target.name == name; });
}

bool is_packed(const LoraTarget& target) { return target.name == "W_pack"; }
bool is_third(const LoraTarget& target) { return target.parts == 3; }

/// Layers that the names speak of.
int count_layers(const AdapterTensors& file) {
  const std::string start = concat(kPeftPrefix, "model.layers.");
  int layers = 0;
  for (const auto& [name, tensor] : file.tensors) {
    if (!name.starts_with(start)) continue;
    const std::string number =
        name.substr(start.size(), name.find('.', start.size()) - start.size());
    const bool is_number = !number.empty() && number.size() <= 4 &&
                           number.find_first_not_of("0123456789") == std::string::npos;
    require(is_number && std::stoi(number) < kMostLayers, file.path, ": ", name,
            ": must name a layer in [0, ", kMostLayers, ")");
    layers = std::max(layers, std::stoi(number) + 1);
  }
  return layers;
}

/// Takes a tensor out of the file's.
at::Tensor take(AdapterTensors& file, const std::string& name, int64_t dimensions) {
  const auto found = file.tensors.find(name);
  require(found != file.tensors.end(), file.path, ": lacks ", name);
  at::Tensor tensor = found->second;
  require(tensor.dim() == dimensions, file.path, ": ", name, ": must have ", dimensions,
          " dimensions, got ", tensor.dim());
  file.tensors.erase(found);
  return tensor;
}

std::vector<Pair> take_pairs(AdapterTensors& file, const LoraOptions& options) {
  std::vector<Pair> pairs;
  for (const LoraModule& module : find_lora_modules(options, count_layers(file), kMostFileRank)) {
    const std::string name = concat(kPeftPrefix, module_name(module));
    Pair pair{
        module, take(file, name + ".lora_A.weight", 2), take(file, name + ".lora_B.weight", 2), {}};
    require(pair.a.size(0) == module.rank && pair.b.size(1) == module.rank, file.path, ": ", name,
            ": A and B must have the rank of adapter_config.json, ", module.rank, ", got ",
            pair.a.size(0), " and ", pair.b.size(1));
    require(pair.b.size(0) % (is_packed(*module.target) ? 3 : 1) == 0, file.path, ": ", name,
            ".lora_B.weight: must have rows of three equal parts, got ", pair.b.size(0));
    if (options.dora) {
      pair.magnitude = take(file, name + ".lora_magnitude_vector", 1);
      require(pair.magnitude.size(0) == pair.b.size(0), file.path, ": ", name,
              ".lora_magnitude_vector: must have ", pair.b.size(0), " values, got ",
              pair.magnitude.size(0));
    }
    pairs.push_back(std::move(pair));
  }
  return pairs;
}

double alpha_of(const LoraModule& module, bool rslora) {
  const auto rank = static_cast<double>(module.rank);
  return module.scale * (rslora ? std::sqrt(rank) : rank);
}

/// From the first to the last column of `b` that holds something; all if none does.
std::pair<int64_t, int64_t> used_columns(const at::Tensor& b) {
  const at::Tensor used = b.ne(0).any(0).nonzero().flatten();
  if (used.numel() == 0) return {0, b.size(1)};
  const int64_t first = used[0].item<int64_t>(), last = used[-1].item<int64_t>();
  return {first, last + 1 - first};
}

std::vector<Pair> split(const Pair& packed, const Source& source) {
  std::vector<Pair> thirds;
  const std::vector<at::Tensor> rows = packed.b.chunk(3, 0);
  std::set<int64_t> firsts;
  int64_t columns = 0;
  for (const at::Tensor& one : rows) {
    const auto [first, count] = used_columns(one);
    firsts.insert(first);
    columns += count;
  }
  // Blocks of a packed adapter, each with columns of its own.
  const bool blocks = firsts.size() == 3 && columns == packed.b.size(1);
  for (const char* name : {"q_proj", "k_proj", "v_proj"}) {
    const size_t part = thirds.size();
    const auto [first, count] =
        blocks ? used_columns(rows[part]) : std::pair<int64_t, int64_t>{0, packed.b.size(1)};
    Pair third{
        packed.module, packed.a.narrow(0, first, count), rows[part].narrow(1, first, count), {}};
    third.module.target = &target_named(name);
    third.module.rank = count;
    third.module.alpha = alpha_of(third.module, source.rslora);
    if (packed.magnitude.defined()) third.magnitude = packed.magnitude.chunk(3, 0)[part];
    thirds.push_back(std::move(third));
  }
  return thirds;
}

bool share_one_a(const std::vector<const Pair*>& thirds) {
  return std::all_of(thirds.begin(), thirds.end(), [&](const Pair* third) {
    return third->module.scale == thirds[0]->module.scale && at::equal(third->a, thirds[0]->a);
  });
}

/// The scale of the first third that has one.
double scale_of_all(const std::vector<const Pair*>& thirds) {
  for (const Pair* third : thirds) {
    if (third->module.scale != 0) return third->module.scale;
  }
  return 0;
}

/// The thirds of one layer, of which some may be missing, as W_pack's.
Pair pack(const std::vector<const Pair*>& thirds, const Source& source) {
  const Pair& first = *thirds.front();
  const int64_t third_rows = first.b.size(0);
  const bool shared = share_one_a(thirds);
  int64_t rank = shared ? first.module.rank : 0;
  for (const Pair* third : thirds) {
    require(third->b.size(0) == third_rows && third->a.size(1) == first.a.size(1), source.path,
            ": ", module_name(third->module), ": must be of the size of ",
            module_name(first.module), ", B [", third_rows, ", rank], got [", third->b.size(0),
            ", rank]");
    if (!shared) rank += third->module.rank;
  }
  Pair packed{first.module, first.a, at::zeros({3 * third_rows, rank}), {}};
  packed.module.target = &target_named("W_pack");
  packed.module.rank = rank;
  packed.module.scale = scale_of_all(thirds);
  if (!shared) packed.module.alpha = alpha_of(packed.module, source.rslora);
  std::vector<at::Tensor> rows_of_a, magnitudes;
  int64_t column = 0;
  for (const Pair* third : thirds) {
    packed.b.narrow(0, third->module.target->part * third_rows, third_rows)
        .narrow(1, column, third->module.rank)
        .copy_(packed.module.scale == 0 ? third->b
                                        : third->b * (third->module.scale / packed.module.scale));
    rows_of_a.push_back(third->a);
    if (third->magnitude.defined()) magnitudes.push_back(third->magnitude);
    if (!shared) column += third->module.rank;
  }
  if (!shared) packed.a = at::cat(rows_of_a, 0);
  if (magnitudes.empty()) return packed;
  require(thirds.size() == 3, source.path, ": ", module_name(first.module),
          ": q_proj, k_proj and v_proj must all be adapted for W_pack to take DoRA's lengths, got ",
          thirds.size(), " of them");
  packed.magnitude = at::cat(magnitudes);
  return packed;
}

std::vector<Pair> converted(const std::vector<Pair>& pairs, ProjectionNames names,
                            const Source& source) {
  std::vector<Pair> result;
  std::vector<const Pair*> thirds;  // of the layer at hand
  const auto close = [&] {
    if (!thirds.empty()) result.push_back(pack(thirds, source));
    thirds.clear();
  };
  for (const Pair& pair : pairs) {
    const bool waits = is_third(*pair.module.target) && names == ProjectionNames::kPacked;
    if (!waits || (!thirds.empty() && thirds[0]->module.layer != pair.module.layer)) close();
    if (waits) {
      thirds.push_back(&pair);
    } else if (is_packed(*pair.module.target) && names == ProjectionNames::kSplit) {
      for (Pair& third : split(pair, source)) result.push_back(std::move(third));
    } else {
      result.push_back(pair);
    }
  }
  close();
  return result;
}

/// What most have, so that few patterns are needed.
template <typename T>
T most_frequent(const std::vector<T>& values) {
  T best = values.front();
  int64_t most = 0;
  for (const T& value : values) {
    const int64_t count = std::count(values.begin(), values.end(), value);
    if (count > most) {
      most = count;
      best = value;
    }
  }
  return best;
}

/// The value of every module that has another than `general`: once for a target where all of it
/// agree, else by whole names.
template <typename T>
std::map<std::string, T> patterns_of(const std::vector<Pair>& pairs, const std::vector<T>& values,
                                     T general) {
  std::map<std::string, T> patterns;
  for (const LoraTarget& target : kLoraTargets) {
    std::set<T> of_target;
    for (size_t i = 0; i < pairs.size(); ++i) {
      if (pairs[i].module.target == &target) of_target.insert(values[i]);
    }
    if (of_target.size() == 1 && *of_target.begin() != general) {
      patterns[std::string(target.name)] = *of_target.begin();
    }
    for (size_t i = 0; i < pairs.size() && of_target.size() > 1; ++i) {
      if (pairs[i].module.target != &target || values[i] == general) continue;
      patterns[module_name(pairs[i].module)] = values[i];
    }
  }
  return patterns;
}

/// The targets with W_pack in place of its thirds, or the other way round; what stands before a
/// name stays.
std::vector<std::string> renamed(const std::vector<std::string>& targets, ProjectionNames names) {
  const bool split = names == ProjectionNames::kSplit;
  std::vector<std::string> result;
  const auto add = [&](const std::string& target) {
    if (std::find(result.begin(), result.end(), target) == result.end()) result.push_back(target);
  };
  for (const std::string& target : targets) {
    const size_t end = target.rfind('.') + 1;
    const std::string before = target.substr(0, end), name = target.substr(end);
    const bool is_all = name == "all-linear" || name == "all";
    const bool is_third = name == "q_proj" || name == "k_proj" || name == "v_proj";
    if (split && (name == "W_pack" || is_all)) {
      for (const char* third : {"q_proj", "k_proj", "v_proj"}) add(before + third);
      for (const char* other : {"o_proj", "gate_proj", "up_proj", "down_proj"}) {
        if (is_all) add(other);
      }
    } else {
      add(!split && is_third ? before + "W_pack" : target);
    }
  }
  return result;
}

/// Options that give these pairs; ranks and alphas as files say them.
void describe(const std::vector<Pair>& pairs, LoraOptions& options) {
  std::vector<int64_t> ranks;
  std::vector<double> alphas;
  for (const Pair& pair : pairs) {
    ranks.push_back(pair.module.rank);
    alphas.push_back(pair.module.alpha);
  }
  options.rank = most_frequent(ranks);
  options.alpha = most_frequent(alphas);
  options.rank_pattern = patterns_of(pairs, ranks, options.rank);
  options.alpha_pattern = patterns_of(pairs, alphas, options.alpha);
}

}  // namespace

void convert_adapter(const std::string& from, const std::string& to, ProjectionNames names) {
  AdapterConfig config = read_adapter_config(from);
  AdapterTensors file = read_adapter_tensors(from);
  const std::vector<Pair> pairs =
      converted(take_pairs(file, config.options), names, {file.path, config.options.rslora});
  for (const auto& [name, tensor] : file.tensors) {  // what is left
    const bool is_head =
        std::any_of(config.heads.begin(), config.heads.end(), [&, &key = name](const auto& head) {
          return key.starts_with(concat(kPeftPrefix, head, "."));
        });
    require(is_head, file.path, ": ", name,
            ": must belong to a linear that adapter_config.json targets or to modules_to_save");
  }
  config.options.targets = renamed(config.options.targets, names);
  describe(pairs, config.options);
  for (const Pair& pair : pairs) {
    const std::string name = concat(kPeftPrefix, module_name(pair.module));
    file.tensors[name + ".lora_A.weight"] = pair.a;
    file.tensors[name + ".lora_B.weight"] = pair.b;
    if (pair.magnitude.defined()) file.tensors[name + ".lora_magnitude_vector"] = pair.magnitude;
  }
  write_adapter_tensors(to, file.tensors, file.base);
  write_adapter_config(to, config);
}

}  // namespace radgpt
