// A rank's memory with a sharded base is what the memory plan says.

#include <c10/core/CPUAllocator.h>
#include <torch/types.h>

#include <atomic>
#include <memory>

#include "libradgpt/config/memory_plan.h"
#include "libradgpt/lora/adapter.h"
#include "libradgpt/ops/head_cross_entropy.h"
#include "tests/base/temporary_folder.h"
#include "tests/catch.h"
#include "tests/distributed/thread_ranks.h"
#include "tests/model/reference_model.h"
#include "tests/model/small_packs.h"

namespace radgpt {
namespace {

/// Bytes of tensors that a thread has made and that still live.
struct Bytes {
  std::atomic<int64_t> live = 0;
  std::atomic<int64_t> peak = 0;

  void add(int64_t bytes) {
    live += bytes;
    peak = std::max(peak.load(), live.load());
  }
};

thread_local std::shared_ptr<Bytes> bytes_of_thread;

struct Counted {
  at::DataPtr memory;
  std::shared_ptr<Bytes> bytes;  // Gloo's threads may be the last to let memory go
  int64_t count;
};

/// LibTorch's allocator, counting for threads that asked for it.
class CountingAllocator final : public at::Allocator {
 public:
  CountingAllocator() : allocator_(*c10::GetCPUAllocator()) { c10::SetCPUAllocator(this); }
  ~CountingAllocator() { c10::SetCPUAllocator(&allocator_); }

  at::DataPtr allocate(size_t count) override {
    at::DataPtr memory = allocator_.allocate(count);
    if (!bytes_of_thread || count == 0) return memory;
    const auto bytes = static_cast<int64_t>(count);
    bytes_of_thread->add(bytes);
    void* const begin = memory.get();
    return {begin, new Counted{std::move(memory), bytes_of_thread, bytes},
            [](void* counted) {
              std::unique_ptr<Counted> gone(static_cast<Counted*>(counted));
              gone->bytes->add(-gone->count);
            },
            at::kCPU};
  }
  void copy_data(void* to, const void* from, size_t count) const override {
    default_copy_data(to, from, count);
  }

 private:
  at::Allocator& allocator_;
};

ModelConfig wide_layers() {
  ModelConfig config;
  config.vocab_size = 60;
  config.hidden_size = 128;
  config.intermediate_size = 344;
  config.num_hidden_layers = 6;
  config.num_attention_heads = 4;
  config.model_max_length = 32;
  config.position = PositionKind::kAlibi;
  return config;
}

/// What one rank holds at different times.
struct Usage {
  int64_t base = 0;      ///< the base alone
  int64_t loading = 0;   ///< at the most while it is loaded
  int64_t adapted = 0;   ///< with adapter, before the first pass
  int64_t training = 0;  ///< at the most in two steps
};

Usage usage(const std::string& folder, Communicator* ranks) {
  const auto bytes = std::make_shared<Bytes>();
  bytes_of_thread = bytes;
  Usage usage;
  {
    const auto model = Baichuan::load(folder, at::kFloat, {}, ranks);
    usage.base = bytes->live;
    usage.loading = bytes->peak;
    ParameterStore store;
    Adapter adapter(*model, {.dropout = 0.1, .targets = {"all"}}, store);
    store.allocate();
    adapter.attach(1);
    usage.adapted = bytes->live;
    bytes->peak = 0;
    for (const uint64_t step : {0, 1}) {
      const at::Tensor hidden = model->forward(single_pack({5, 6, 7}), {1, step, 0, true});
      head_cross_entropy(hidden, model->head(), at::tensor({6, 7, 8}, at::kLong), 1.0).backward();
      store.publish();
    }
    usage.training = bytes->peak;
  }
  bytes_of_thread.reset();
  return usage;
}

int64_t planned(const std::string& what, int64_t shards) {
  Recipe recipe;
  recipe.lora.targets = {"all"};
  recipe.model.device = DeviceChoice::kCpu;
  for (const MemoryRow& row : training_memory(recipe, wide_layers(), DataType::kF32, shards)) {
    if (row.what == what) return row.bytes;
  }
  return 0;
}

TEST_CASE("Sharded base: memory of a rank falls as planned") {
  CountingAllocator allocator;
  const TemporaryFolder folder;
  write_model_folder(folder.path(), wide_layers(), random_weights(wide_layers()));
  const int64_t layer = planned("weights", 1) / wide_layers().num_hidden_layers;
  for (const int size : {2, 3, 4}) {
    run_thread_ranks(size, [&](Communicator& ranks) {
      const Usage whole = usage(folder.path(), nullptr), sharded = usage(folder.path(), &ranks);
      const int64_t saved = planned("weights", 1) - planned("weights", size);
      require(whole.base - sharded.base == saved, size, " ranks: base: expected ", saved,
              " bytes fewer, got ", whole.base - sharded.base);
      require(whole.adapted - sharded.adapted == saved, size, " ranks: adapted: expected ", saved,
              " bytes fewer, got ", whole.adapted - sharded.adapted);
      // Pieces of what is read, and no layer.
      require(sharded.loading - sharded.base < layer / 2, size, " ranks: loading took ",
              sharded.loading - sharded.base, " bytes beside the base");
      // Activations and gradients may be the most when one layer is whole, or two; and a thread of
      // Gloo may keep its copy of a layer until the next one's is made.
      const int64_t beside = whole.training - whole.adapted;
      const int64_t grown = sharded.training - sharded.adapted;
      const int64_t layers = planned("whole layers", size);
      require(grown >= layers && grown <= layers + beside + layer, size,
              " ranks: training: expected ", layers, " to ", layers + beside + layer,
              " bytes beside the base, got ", grown);
      require(beside < layer, "activations are small beside a layer, or this shows little");
    });
  }
}

}  // namespace
}  // namespace radgpt
