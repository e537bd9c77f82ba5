#include <cinttypes>
#include <cstdio>

#include "libradgpt/base/error.h"
#include "libradgpt/data/corpus.h"
#include "libradgpt/data/packing.h"
#include "libradgpt/train/assembly.h"
#include "libradgpt/train/options.h"
#include "recipes/radgpt/verbs.h"

namespace radgpt {
namespace {

/// A piece on one line of a terminal.
std::string visible(const Tokenizer& tokenizer, int32_t id) {
  if (id == kNewlineId) return "\\n";
  const std::string piece = tokenizer.piece(id);
  return piece == "\t" ? "\\t" : piece;
}

/// The examples that stand in a pack together with `example`.
std::vector<int32_t> neighbours(const TokenDataset& dataset, int32_t example, Sharing sharing) {
  if (sharing == Sharing::kPacked) return {example};
  const int32_t group_index = dataset.examples[static_cast<size_t>(example)].group;
  const TokenGroup& group = dataset.groups[static_cast<size_t>(group_index)];
  std::vector<int32_t> examples;
  for (int32_t i = group.begin; i < group.end; ++i) examples.push_back(i);
  return examples;
}

std::string place_of(const Recipe& recipe, const CorpusPart& part, const TokenExample& example) {
  const auto index = static_cast<size_t>(example.report);
  const SourceLine& source =
      example.task < 0 ? part.conversations[index].source : part.reports[index].source;
  const std::string task =
      example.task < 0 ? "conversation" : recipe.tasks[static_cast<size_t>(example.task)].name;
  return concat(task, ", ", source.file, ":", source.line);
}

void print_segments(const Pack& pack) {
  for (size_t i = 0; i < pack.segments.size(); ++i) {
    const Segment& segment = pack.segments[i];
    std::printf("segment %zu: rows %" PRId32 " to %" PRId32, i, segment.begin, segment.end - 1);
    if (segment.prefix_length() > 0) {
      std::printf(", which also see rows %" PRId32 " to %" PRId32, segment.prefix_begin,
                  segment.prefix_end - 1);
    }
    std::printf("\n");
  }
}

void print_rows(const Pack& pack, const Tokenizer& tokenizer) {
  std::printf("%6s %8s %7s %7s %7s  %s\n", "row", "position", "segment", "id", "target", "piece");
  size_t segment = 0;
  size_t target = 0;
  for (int64_t row = 0; row < pack.size(); ++row) {
    const auto at = static_cast<size_t>(row);
    while (row >= pack.segments[segment].end) ++segment;
    const auto id = static_cast<int32_t>(pack.tokens[at]);
    std::printf("%6" PRId64 " %8" PRId64 " %7zu %7" PRId32, row, pack.positions[at], segment, id);
    const bool has_target = target < pack.target_rows.size() && pack.target_rows[target] == row;
    if (!has_target) {
      std::printf(" %7s  %s\n", "-", visible(tokenizer, id).c_str());
      continue;
    }
    const auto next = static_cast<int32_t>(pack.targets[target++]);
    std::printf(" %7" PRId32 "  %s → %s\n", next, visible(tokenizer, id).c_str(),
                visible(tokenizer, next).c_str());
  }
}

void print_example(const Recipe& recipe, int64_t number) {
  const Corpus corpus = read_corpus(corpus_options(recipe));
  const Tokenizer tokenizer = make_tokenizer(recipe, corpus);
  const CorpusPart& part = corpus.part(Split::kTrain);
  const TokenDataset dataset = tokenize(part, tokenizer, length_options(recipe));
  if (number < 0 || number >= dataset.size()) {
    fail(ErrorKind::kUsage, "--example: must be in [0, ", dataset.size(), "), got ", number);
  }
  const Sharing sharing = packing_options(recipe).sharing;
  const auto examples = neighbours(dataset, static_cast<int32_t>(number), sharing);
  for (const int32_t i : examples) {
    const TokenExample& example = dataset.examples[static_cast<size_t>(i)];
    std::printf("example %" PRId32 " of %" PRId32 ": %s, %" PRId32 " tokens, %" PRId32 " targets\n",
                i, dataset.size(), place_of(recipe, part, example).c_str(), dataset.length(i),
                example.target_count());
  }
  const Pack pack = pack_examples(dataset, examples, sharing);
  print_segments(pack);
  print_rows(pack, tokenizer);
}

}  // namespace

void add_tokens(CLI::App& app) {
  CLI::App* verb = app.add_subcommand(
      "tokens", "prints one training example as the model sees it: ids, targets, segments");
  verb->footer(
      "Examples that share its report's context stand in the pack beside it and are printed too.\n"
      "A target is what the model must predict after the row. The output is report text.");
  const auto arguments = add_recipe_arguments(*verb);
  const auto number = std::make_shared<int64_t>(0);
  verb->add_option("--example", *number, "which one, counted from 0 in the order of the data");
  verb->callback([arguments, number] { print_example(arguments->read(), *number); });
}

}  // namespace radgpt
