#include <cinttypes>
#include <cstdio>

#include "libradgpt/base/error.h"
#include "libradgpt/data/corpus.h"
#include "libradgpt/data/length_table.h"
#include "libradgpt/train/assembly.h"
#include "libradgpt/train/options.h"
#include "recipes/radgpt/verbs.h"

namespace radgpt {
namespace {

constexpr std::array<Split, kSplits> kAllSplits = {Split::kTrain, Split::kValidation, Split::kTest};

/// A line of a table: what, and one number for each split.
void print_counts(const std::string& what, const std::array<int, kSplits>& counts) {
  std::printf("  %-34s %10d %10d %10d\n", what.c_str(), counts[0], counts[1], counts[2]);
}

void print_heading(const char* title) {
  std::printf("%-36s %10s %10s %10s\n", title, "train", "validation", "test");
}

std::string task_name(const Recipe& recipe, int32_t task) {
  return task < 0 ? "conversations" : recipe.tasks[static_cast<size_t>(task)].name;
}

void print_sources(const Corpus& corpus) {
  for (const SourceCounts& source : corpus.sources) {
    print_heading(source.path.c_str());
    print_counts("reports", source.reports);
    print_counts("patients", source.patients);
    if (source.bad_lines.empty()) continue;
    std::printf("  %-34s %10zu\n", "bad lines, left out", source.bad_lines.size());
    for (const std::string& line : source.bad_lines) std::printf("    %s\n", line.c_str());
  }
}

void print_examples(const Recipe& recipe, const Corpus& corpus) {
  print_heading("examples");
  for (size_t task = 0; task < recipe.tasks.size(); ++task) {
    std::array<int, kSplits> counts{};
    for (size_t split = 0; split < kSplits; ++split) {
      for (const Example& example : corpus.parts[split].examples) {
        counts[split] += example.task == static_cast<int>(task);
      }
    }
    print_counts(recipe.tasks[task].name, counts);
  }
}

void print_twins(const char* kind, const TwinCounts& counts) {
  for (const Split split : kAllSplits) {
    const std::string what = concat(kind, " twins of ", split_name(split), " in");
    print_counts(what, counts[static_cast<size_t>(split)]);
  }
}

void print_duplicates(const Recipe& recipe, const Corpus& corpus, const Duplicates& duplicates) {
  print_heading("duplicates");
  if (recipe.data.duplicates == DuplicatesChoice::kDrop) {
    print_counts("dropped for a later split's copy", corpus.dropped);
  }
  print_twins("exact", duplicates.exact);
  if (recipe.data.near_duplicate > 0) print_twins("near", duplicates.near);
}

void print_cuts(const Recipe& recipe, const TokenDataset& dataset) {
  for (const LengthCut& cut : dataset.cuts) {
    std::printf("  %s:%d: %s: %" PRId32 " tokens, ", cut.source.file.c_str(), cut.source.line,
                task_name(recipe, cut.task).c_str(), cut.tokens);
    if (cut.kept == 0) std::printf("left out\n");
    if (cut.kept > 0) std::printf("context shortened, %" PRId32 " kept\n", cut.kept);
  }
}

void print_lengths(const Recipe& recipe, const TokenDataset& dataset) {
  std::printf("%-20s %10s %10s %10s %6s %6s %6s %7s\n", "lengths in tokens, train", "examples",
              "tokens", "targets", "p50", "p90", "p99", "longest");
  for (const LengthRow& row : length_table(dataset)) {
    std::printf("  %-22s %10" PRId64 " %10" PRId64 " %10" PRId64 " %6" PRId32 " %6" PRId32
                " %6" PRId32 " %7" PRId32 "\n",
                task_name(recipe, row.task).c_str(), row.examples, row.tokens, row.targets, row.p50,
                row.p90, row.p99, row.longest);
  }
}

void print_layout(const char* name, int64_t tokens, int64_t shared, const char* how) {
  const double ratio = static_cast<double>(tokens) / static_cast<double>(shared);
  std::printf("  %-22s %10" PRId64 "  %5.2f x  %s\n", name, tokens, ratio, how);
}

void print_epoch(const Recipe& recipe, const TokenDataset& dataset) {
  if (dataset.size() == 0) return;
  const EpochTokens epoch = count_epoch_tokens(dataset, packing_options(recipe));
  std::printf("tokens of an epoch, train\n");
  print_layout("padded", epoch.padded, epoch.shared, "batches of 8 filled up to their longest");
  print_layout("packed", epoch.packed, epoch.shared, "each example by itself, no filling");
  print_layout("shared", epoch.shared, epoch.shared, "each report once for all its tasks");
  std::printf("  %-22s %10" PRId64 "           with loss\n", "targets", epoch.targets);
  std::printf("  %-22s %10" PRId64 "           of %" PRId64 " tokens, %.1f %% full\n", "packs",
              epoch.packs, recipe.train.pack_tokens, 100 * epoch.fill);
}

void prepare(const Recipe& recipe) {
  const Corpus corpus = read_corpus(corpus_options(recipe));
  print_sources(corpus);
  print_examples(recipe, corpus);
  const Duplicates duplicates = find_duplicates(corpus, recipe.data.near_duplicate);
  print_duplicates(recipe, corpus, duplicates);
  require_no_leaks(duplicates);

  const Tokenizer tokenizer = make_tokenizer(recipe, corpus);
  std::array<TokenDataset, kSplits> datasets;
  size_t cuts = 0;
  for (size_t split = 0; split < kSplits; ++split) {
    datasets[split] = tokenize(corpus.parts[split], tokenizer, length_options(recipe));
    cuts += datasets[split].cuts.size();
  }
  if (cuts > 0) std::printf("examples too long: %zu\n", cuts);
  for (const TokenDataset& dataset : datasets) print_cuts(recipe, dataset);
  print_lengths(recipe, datasets[0]);
  print_epoch(recipe, datasets[0]);
}

}  // namespace

void add_prepare(CLI::App& app) {
  CLI::App* verb = app.add_subcommand(
      "prepare", "looks at a recipe's reports: splits, copies, leaks, lengths, tokens");
  verb->footer(
      "Prints what training and evaluation will see, and writes nothing. A patient in two splits "
      "is\n"
      "an error (exit code 3), and so is a text unless data.duplicates is drop. Needs the reports\n"
      "and the tokenizer, not the base.");
  const auto arguments = add_recipe_arguments(*verb);
  verb->callback([arguments] { prepare(arguments->read()); });
}

}  // namespace radgpt
