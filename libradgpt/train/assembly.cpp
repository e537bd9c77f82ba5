#include "libradgpt/train/assembly.h"

#include <ATen/Parallel.h>
#include <c10/core/impl/VirtualGuardImpl.h>
#include <sched.h>
#include <torch/types.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "libradgpt/base/error.h"
#include "libradgpt/config/memory_plan.h"
#include "libradgpt/data/tokenizer_training.h"
#include "libradgpt/formats/checkpoint_index.h"
#include "libradgpt/lora/adapter_config.h"
#include "libradgpt/ops/device_kernels.h"

namespace radgpt {

namespace {

ModelConfig fresh_config(const Recipe& recipe, const Tokenizer& tokenizer) {
  const ModelRecipe& model = recipe.model;
  ModelConfig config;
  config.vocab_size = tokenizer.size();
  config.hidden_size = model.hidden_size;
  config.intermediate_size = model.intermediate_size;
  config.num_hidden_layers = model.layers;
  config.num_attention_heads = model.heads;
  config.model_max_length = model.max_length;
  config.position =
      model.position == PositionChoice::kAlibi ? PositionKind::kAlibi : PositionKind::kRope;
  check_model_config(config, recipe.file + ": model");
  return config;
}

/// Two tokenizers of one size may still give a text different ids.
void require_same_tokenizer(const Recipe& recipe, const Tokenizer& tokenizer) {
  const std::string path = recipe.model.path + "/tokenizer.model";
  if (recipe.model.tokenizer.empty() || !std::filesystem::exists(path)) return;
  require(Tokenizer::load(path).digest() == tokenizer.digest(), recipe.file,
          ": model.tokenizer: must be the tokenizer of the base, got another than ", path);
}

at::Device model_device(const Recipe& recipe) {
  switch (recipe.model.device) {
    case DeviceChoice::kCpu:
      return at::kCPU;
    case DeviceChoice::kCuda:
      return at::kCUDA;
    case DeviceChoice::kAuto:
      break;
  }
  return native_device();
}

/// Bytes that this machine has, or that a container may take of them.
int64_t memory_limit() {
  int64_t bytes = static_cast<int64_t>(sysconf(_SC_PHYS_PAGES)) * sysconf(_SC_PAGE_SIZE);
  std::ifstream file("/sys/fs/cgroup/memory.max");
  int64_t limit = 0;
  if (file >> limit) bytes = std::min(bytes, limit);  // else there is none, or "max"
  return bytes;
}

/// Whether no launcher has given this process processors of its own.
bool has_all_processors() {
  cpu_set_t mine;
  CPU_ZERO(&mine);
  return sched_getaffinity(0, sizeof mine, &mine) != 0 ||
         CPU_COUNT(&mine) == sysconf(_SC_NPROCESSORS_ONLN);
}

}  // namespace

at::ScalarType model_type(const Recipe& recipe) {
  const at::Device device = model_device(recipe);
  switch (recipe.model.dtype) {
    case DtypeChoice::kBf16:
      return at::kBFloat16;
    case DtypeChoice::kFp32:
      require(!device.is_cuda(), recipe.file,
              ": model.dtype: must be bf16 or auto on a GPU, got fp32");
      return at::kFloat;
    case DtypeChoice::kAuto:
      break;
  }
  return native_type(device);
}

Tokenizer make_tokenizer(const Recipe& recipe, const Corpus& corpus) {
  if (!recipe.model.tokenizer.empty()) return Tokenizer::load(recipe.model.tokenizer);
  if (!recipe.model.path.empty()) return Tokenizer::load(recipe.model.path + "/tokenizer.model");
  return train_tokenizer(training_texts(corpus),
                         static_cast<int32_t>(recipe.model.tokenizer_pieces));
}

at::TensorOptions model_options(const Recipe& recipe) {
  const at::Device device = model_device(recipe);
  if (device.is_cuda()) require_cuda(recipe.file + ": model.device");
  return at::TensorOptions(device).dtype(model_type(recipe));
}

void require_memory(const Recipe& recipe, const ModelConfig& model, const Communicator& ranks) {
  if (model_device(recipe).is_cuda()) return;
  const DataType type = model_type(recipe) == at::kBFloat16 ? DataType::kBF16 : DataType::kF32;
  const bool sharded = recipe.distributed.base == BaseChoice::kSharded;
  int64_t needed = 0;
  for (const MemoryRow& row : training_memory(recipe, model, type, sharded ? ranks.size() : 1)) {
    if (row.what == "weights" || row.what == "border") needed += row.bytes;
  }
  needed *= ranks.local_size();
  const int64_t there = memory_limit();
  if (needed <= there) return;
  fail(ErrorKind::kEnvironment, recipe.file, ": model: its weights need ", needed,
       " bytes (radgpt plan tells which), this machine has ", there);
}

std::unique_ptr<Baichuan> make_model(const Recipe& recipe, const Tokenizer& tokenizer,
                                     const LoadProgress& progress, Communicator* ranks) {
  std::unique_ptr<Baichuan> model;
  Communicator* shards = recipe.distributed.base == BaseChoice::kSharded ? ranks : nullptr;
  const std::string& path = recipe.model.path;
  const ModelConfig config =
      path.empty() ? fresh_config(recipe, tokenizer) : read_model_config(path + "/config.json");
  if (ranks != nullptr) require_memory(recipe, config, *ranks);
  if (path.empty()) {
    model = std::make_unique<Baichuan>(config, model_options(recipe), shards);
    model->initialise(static_cast<uint64_t>(recipe.train.seed));
  } else {
    require_same_tokenizer(recipe, tokenizer);
    if (recipe.model.check_finite) WeightFolder(recipe.model.path).require_finite();
    model = Baichuan::load(recipe.model.path, model_options(recipe), progress, shards);
  }
  require(model->config().vocab_size == tokenizer.size(), recipe.file,
          ": model: base and tokenizer must have one vocabulary, got ", model->config().vocab_size,
          " and ", tokenizer.size(), " pieces");
  require(recipe.model.max_length <= model->config().model_max_length, recipe.file,
          ": model.max_length: must be at most ", model->config().model_max_length,
          ", the model_max_length of the base, got ", recipe.model.max_length);
  return model;
}

std::string type_name(const Baichuan& model) {
  return model.type() == at::kBFloat16 ? "bf16" : "fp32";
}

std::optional<int> find_head_task(const Recipe& recipe) {
  for (size_t task = 0; task < recipe.tasks.size(); ++task) {
    if (recipe.tasks[task].name == recipe.train.head_task) return static_cast<int>(task);
  }
  return std::nullopt;
}

HeadContext head_context(const Recipe& recipe, const Baichuan& model) {
  HeadContext context{model};
  context.seed = static_cast<uint64_t>(recipe.train.seed);
  if (const std::optional<int> task = find_head_task(recipe)) {
    context.classes = static_cast<int>(recipe.tasks[static_cast<size_t>(*task)].labels.size());
  }
  return context;
}

AdaptedModel::AdaptedModel(Baichuan& base, const Recipe& recipe, const std::string& folder)
    : adapter_(std::make_unique<Adapter>(base, read_adapter_config(folder).options, store_)),
      head_(make_head(recipe.train.head, head_context(recipe, base))),
      classifies_(find_head_task(recipe).has_value()) {
  head_->add_parameters(store_);
  store_.allocate(base.device());
  adapter_->attach(0);
  head_->bind_parameters(store_);
  adapter_->load(folder);
}

int set_threads(const Recipe& recipe, int ranks_on_machine) {
  // LibTorch's matrix products keep compiled code for up to 1,024 shapes, about a megabyte each,
  // and packs of many sizes bring a new shape at nearly every step.
  setenv("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "64", 0);
  const bool chosen = getenv("OMP_NUM_THREADS") != nullptr || getenv("MKL_NUM_THREADS") != nullptr;
  if (recipe.train.threads > 0) {
    at::set_num_threads(static_cast<int>(recipe.train.threads));
  } else if (ranks_on_machine > 1 && !chosen && has_all_processors()) {
    at::set_num_threads(std::max(1, at::get_num_threads() / ranks_on_machine));
  }
  return at::get_num_threads();
}

void choose_gpu(const Recipe& recipe, int local_rank) {
  const at::TensorOptions options = model_options(recipe);
  if (!options.device().is_cuda()) return;
  const c10::impl::VirtualGuardImpl gpus(at::kCUDA);
  if (local_rank >= gpus.deviceCount()) {
    fail(ErrorKind::kEnvironment, recipe.file, ": model.device: must be a GPU for each rank of a ",
         "machine, got rank ", local_rank, " on a machine with ",
         static_cast<int>(gpus.deviceCount()));
  }
  gpus.setDevice({at::kCUDA, static_cast<at::DeviceIndex>(local_rank)});
}

}  // namespace radgpt
