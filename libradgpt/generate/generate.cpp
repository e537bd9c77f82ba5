#include "libradgpt/generate/generate.h"

#include <torch/types.h>

#include <algorithm>

#include "libradgpt/base/error.h"
#include "libradgpt/generate/prompt_pack.h"
#include "libradgpt/ops/head_cross_entropy.h"

namespace radgpt {

namespace {

using Prompts = std::vector<std::vector<int32_t>>;

// Prompts are read this many tokens at a time: enough to fill the processor, little memory.
constexpr int64_t kPrefillTokens = 4096;

// A sequence that is being written. Its last id is not in the cache yet.
struct Active {
  size_t prompt = 0;
  int32_t slot = 0;  ///< its sequence of the cache
  std::vector<int32_t> ids;
};

class Generator {
 public:
  Generator(const Baichuan& model, const Prompts& prompts, const GenerationOptions& options,
            const GenerationProgress& progress);
  std::vector<Generation> run();

 private:
  int64_t new_tokens(size_t prompt) const;
  size_t next_group_end() const;
  std::span<const int32_t> adapters_of(size_t begin, size_t end) const;
  void admit();
  void step();
  void extend(std::vector<Active> sequences, const at::Tensor& hidden);
  bool finished(const Active& sequence, int32_t id);

  const Baichuan& model_;
  const Prompts& prompts_;
  const GenerationOptions& options_;
  const GenerationProgress& progress_;
  std::vector<Generation> results_;
  std::vector<LayerCache> cache_;
  std::vector<int32_t> free_slots_;
  std::vector<Active> active_;
  size_t next_ = 0;
  int64_t done_ = 0;
};

Generator::Generator(const Baichuan& model, const Prompts& prompts,
                     const GenerationOptions& options, const GenerationProgress& progress)
    : model_(model),
      prompts_(prompts),
      options_(options),
      progress_(progress),
      results_(prompts.size()) {
  const int64_t longest = model.config().model_max_length;
  require(options.batch >= 1, "generate: batch must be at least 1, got ", options.batch);
  require(options.max_new_tokens >= 1, "generate: max_new_tokens must be at least 1, got ",
          options.max_new_tokens);
  require(options.adapters.empty() || options.adapters.size() == prompts.size(),
          "generate: adapters must be one a prompt, ", prompts.size(), ", got ",
          options.adapters.size());
  int64_t capacity = 0;
  for (size_t i = 0; i < prompts.size(); ++i) {
    const auto length = static_cast<int64_t>(prompts[i].size());
    require(length >= 1 && length < longest, "generate: prompt ", i, " must have 1 to ",
            longest - 1, " tokens, got ", length);
    capacity = std::max(capacity, length + new_tokens(i));
  }
  const auto slots =
      static_cast<int32_t>(std::min<int64_t>(options.batch, static_cast<int64_t>(prompts.size())));
  for (int32_t slot = slots; slot-- > 0;) free_slots_.push_back(slot);
  cache_ = model.make_cache(slots, capacity);
}

std::vector<Generation> Generator::run() {
  const at::NoGradGuard no_grad;
  const size_t slots = free_slots_.size();
  while (next_ < prompts_.size() || !active_.empty()) {
    // Reading prompts one by one as slots fall free would be as slow as writing; wait for some.
    const bool worth_it = active_.empty() || 4 * free_slots_.size() >= slots;
    if (next_ < prompts_.size() && !free_slots_.empty() && worth_it) {
      admit();
    } else {
      step();
    }
  }
  return std::move(results_);
}

int64_t Generator::new_tokens(size_t prompt) const {
  const int64_t room =
      model_.config().model_max_length - static_cast<int64_t>(prompts_[prompt].size());
  return std::min(options_.max_new_tokens, room);
}

size_t Generator::next_group_end() const {
  size_t end = next_;
  int64_t tokens = 0;
  while (end < prompts_.size() && end - next_ < free_slots_.size()) {
    tokens += static_cast<int64_t>(prompts_[end].size());
    if (end > next_ && tokens > kPrefillTokens) break;
    ++end;
  }
  return end;
}

std::span<const int32_t> Generator::adapters_of(size_t begin, size_t end) const {
  if (options_.adapters.empty()) return {};
  return std::span(options_.adapters).subspan(begin, end - begin);
}

void Generator::admit() {
  const size_t end = next_group_end();
  const PromptPack prompts =
      pack_prompt_ids(std::span(prompts_).subspan(next_, end - next_), adapters_of(next_, end));
  std::vector<Active> sequences;
  for (; next_ < end; ++next_) {
    sequences.push_back({.prompt = next_, .slot = free_slots_.back(), .ids = prompts_[next_]});
    free_slots_.pop_back();
  }
  std::vector<int32_t> slot_of_segment;
  for (const int32_t prompt : prompts.prompt_of_segment) {
    slot_of_segment.push_back(prompt < 0 ? -1 : sequences[prompt].slot);
  }
  extend(std::move(sequences),
         model_.prefill(prompts.pack, prompts.last_rows, slot_of_segment, cache_));
}

void Generator::step() {
  std::vector<int64_t> tokens;
  std::vector<int32_t> slots, lengths, adapters;
  for (const Active& sequence : active_) {
    tokens.push_back(sequence.ids.back());
    slots.push_back(sequence.slot);
    lengths.push_back(static_cast<int32_t>(sequence.ids.size()) - 1);
    if (!options_.adapters.empty()) adapters.push_back(options_.adapters[sequence.prompt]);
  }
  const at::Tensor hidden = model_.decode(tokens, slots, lengths, cache_, adapters);
  extend(std::exchange(active_, {}), hidden);
}

// Row i of hidden gives the next id of sequences[i]; those that go on become active.
void Generator::extend(std::vector<Active> sequences, const at::Tensor& hidden) {
  const at::Tensor logits = head_logits(hidden, model_.head()).cpu().contiguous();
  for (size_t i = 0; i < sequences.size(); ++i) {
    Active& sequence = sequences[i];
    const auto written =
        static_cast<uint32_t>(sequence.ids.size() - prompts_[sequence.prompt].size());
    const std::span<float> row(
        logits.mutable_data_ptr<float>() + static_cast<int64_t>(i) * logits.size(1),
        logits.size(1));
    const int32_t id = sample_token(row, sequence.ids, options_.sampling, sequence.prompt, written);
    if (finished(sequence, id)) {
      free_slots_.push_back(sequence.slot);
      if (progress_) progress_(++done_);
    } else {
      sequence.ids.push_back(id);
      active_.push_back(std::move(sequence));
    }
  }
}

bool Generator::finished(const Active& sequence, int32_t id) {
  Generation& result = results_[sequence.prompt];
  result.stopped =
      std::find(options_.stop_ids.begin(), options_.stop_ids.end(), id) != options_.stop_ids.end();
  if (!result.stopped) result.ids.push_back(id);
  return result.stopped || static_cast<int64_t>(result.ids.size()) == new_tokens(sequence.prompt);
}

}  // namespace

std::vector<Generation> generate(const Baichuan& model, const Prompts& prompts,
                                 const GenerationOptions& options,
                                 const GenerationProgress& progress) {
  if (prompts.empty()) return {};
  return Generator(model, prompts, options, progress).run();
}

}  // namespace radgpt
