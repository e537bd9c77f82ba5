#pragma once

#include <array>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include "libradgpt/config/field.h"
#include "libradgpt/data/task.h"

namespace radgpt {

/// @file
/// A recipe is one YAML file that says everything about a run. Each field is described once, here:
/// its default beside its name, its range and meaning in `describe`. How a recipe is read, checked
/// and written: libradgpt/config/recipe_file.h. Relative paths are relative to the working
/// directory.

/// @{
/// The words a field may take; its meaning stands in the `describe` that names it.
enum class PositionChoice { kAuto, kRope, kAlibi };
enum class DtypeChoice { kAuto, kBf16, kFp32 };
enum class DeviceChoice { kAuto, kCpu, kCuda };
enum class LayoutChoice { kReports, kAlpaca, kConversations };
enum class GroupChoice { kPatient, kNone };
enum class DuplicatesChoice { kError, kDrop };
enum class TooLongChoice { kError, kDrop, kShortenContext };
enum class ScheduleChoice { kConstant, kLinear, kCosine };
enum class LoraInitChoice { kUniform, kPissa };
enum class ParametersChoice { kAdapter, kFull };
enum class SharingChoice { kShared, kPacked };
enum class SplitChoice { kTest, kValidation };
enum class ExistingChoice { kError, kResume, kOverwrite };
enum class ReductionChoice { kOrdered, kAllreduce };
enum class BaseChoice { kReplicated, kSharded };

inline constexpr std::array<std::string_view, 3> kPositionNames = {"auto", "rope", "alibi"};
inline constexpr std::array<std::string_view, 3> kDtypeNames = {"auto", "bf16", "fp32"};
inline constexpr std::array<std::string_view, 3> kDeviceNames = {"auto", "cpu", "cuda"};
inline constexpr std::array<std::string_view, 3> kLayoutNames = {"reports", "alpaca",
                                                                 "conversations"};
inline constexpr std::array<std::string_view, 2> kGroupNames = {"patient", "none"};
inline constexpr std::array<std::string_view, 2> kDuplicatesNames = {"error", "drop"};
inline constexpr std::array<std::string_view, 3> kTooLongNames = {"error", "drop",
                                                                  "shorten_context"};
inline constexpr std::array<std::string_view, 3> kScheduleNames = {"constant", "linear", "cosine"};
inline constexpr std::array<std::string_view, 2> kLoraInitNames = {"uniform", "pissa"};
inline constexpr std::array<std::string_view, 2> kParametersNames = {"adapter", "full"};
inline constexpr std::array<std::string_view, 2> kSharingNames = {"shared", "packed"};
inline constexpr std::array<std::string_view, 2> kSplitNames = {"test", "validation"};
inline constexpr std::array<std::string_view, 3> kExistingNames = {"error", "resume", "overwrite"};
inline constexpr std::array<std::string_view, 2> kReductionNames = {"ordered", "allreduce"};
inline constexpr std::array<std::string_view, 2> kBaseNames = {"replicated", "sharded"};
inline constexpr std::array<std::string_view, 2> kTaskKindNames = {"classification", "generation"};
inline constexpr std::array<std::string_view, 9> kTargetNames = {
    "W_pack", "q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj", "all"};
/// @}

/// No bound from above.
inline constexpr int64_t kAnyCount = std::numeric_limits<int64_t>::max();

/// Group `model`: the base and its tokenizer.
struct ModelRecipe {
  std::string path;
  std::string tokenizer;
  int64_t tokenizer_pieces = 4096;
  int64_t hidden_size = 0;
  int64_t intermediate_size = 0;
  int64_t layers = 0;
  int64_t heads = 0;
  PositionChoice position = PositionChoice::kAuto;
  int64_t max_length = 4096;
  DtypeChoice dtype = DtypeChoice::kAuto;
  DeviceChoice device = DeviceChoice::kAuto;
  bool check_finite = false;

  void describe(FieldVisitor& visit) {
    visit("path", path, "folder of the base in Hugging Face layout; empty = random initialisation",
          TextKind::kPath);
    visit("tokenizer", tokenizer,
          "a tokenizer.model; empty = the one in path, or one trained from the training texts",
          TextKind::kPath);
    visit("tokenizer_pieces", tokenizer_pieces, "vocabulary of a trained tokenizer", 1500, 1000000);
    visit("hidden_size", hidden_size, "width; with random initialisation only", 0, 32768);
    visit("intermediate_size", intermediate_size, "width of the MLP; likewise", 0, 131072);
    visit("layers", layers, "number of layers; likewise", 0, 256);
    visit("heads", heads, "attention heads, a divisor of hidden_size; likewise", 0, 1024);
    visit("position", position, "rope (7B) or alibi (13B); likewise; auto = as the base says",
          kPositionNames);
    visit("max_length", max_length, "longest sequence in tokens", 16, 1000000);
    visit("dtype", dtype, "of weights and products; auto = bf16 where the processor multiplies it",
          kDtypeNames);
    visit("device", device, "where the model computes; auto = a CUDA device if there is one",
          kDeviceNames);
    visit("check_finite", check_finite, "refuse a base with NaN or infinity in its weights");
  }
};

/// An entry of `data.sources`.
struct SourceRecipe {
  std::vector<std::string> train;
  std::vector<std::string> validation;
  std::vector<std::string> test;
  std::vector<std::string> reports;
  LayoutChoice layout = LayoutChoice::kReports;
  std::string centre;
  std::string modality;
  std::string id_field = "id";
  std::string patient_field = "patient";
  std::string centre_field = "centre";
  std::string modality_field = "modality";

  void describe(FieldVisitor& visit) {
    visit("train", train, "JSONL files for training", TextKind::kPath);
    visit("validation", validation, "JSONL files for choosing and calibrating", TextKind::kPath);
    visit("test", test, "JSONL files that only evaluation sees", TextKind::kPath);
    visit(
        "reports", reports,
        "files to be split by a hash: of the patient; of the input of a triple, or the first turn",
        TextKind::kPath);
    visit("layout", layout, "what a line is: a report, an Alpaca triple, a list of conversations",
          kLayoutNames);
    visit("centre", centre, "the centre of lines without centre_field", TextKind::kPlain);
    visit("modality", modality, "the modality of lines without modality_field", TextKind::kPlain);
    visit("id_field", id_field, "name of the field with the report's id", TextKind::kPlain);
    visit("patient_field", patient_field, "name of the field with the patient", TextKind::kPlain);
    visit("centre_field", centre_field, "name of the field with the centre", TextKind::kPlain);
    visit("modality_field", modality_field, "name of the field with the modality",
          TextKind::kPlain);
  }
};

/// Group `data`: the reports and how they are split.
struct DataRecipe {
  std::vector<SourceRecipe> sources;
  std::vector<std::string> train_centres;
  GroupChoice group_by = GroupChoice::kPatient;
  std::string salt = "radgpt";
  double validation_fraction = 0.1;
  double test_fraction = 0.1;
  DuplicatesChoice duplicates = DuplicatesChoice::kError;
  double near_duplicate = 0.9;
  TooLongChoice too_long = TooLongChoice::kError;
  int64_t max_tokens = 0;
  int64_t max_bad_lines = 0;
  int64_t limit = 0;

  void describe(FieldVisitor& visit) {
    visit("train_centres", train_centres, "train on these centres only; empty = all",
          TextKind::kPlain);
    visit("group_by", group_by, "what must not cross a split; none = each report by itself",
          kGroupNames);
    visit("salt", salt, "of the hash that splits; another salt, another split", TextKind::kPlain);
    visit("validation_fraction", validation_fraction, "share of the groups of `reports` files",
          Range::half_open(0, 1));
    visit("test_fraction", test_fraction, "share of the groups of `reports` files",
          Range::half_open(0, 1));
    visit("duplicates", duplicates,
          "a text in two splits; drop = leave it out of train, and of validation if test has it",
          kDuplicatesNames);
    visit("near_duplicate", near_duplicate, "Jaccard similarity counted as a near copy; 0 = off", 0,
          1);
    visit("too_long", too_long, "what happens to an example above max_tokens", kTooLongNames);
    visit("max_tokens", max_tokens, "largest example; 0 = model.max_length", 0, 1000000);
    visit("max_bad_lines", max_bad_lines, "unreadable lines tolerated in a file", 0, 1000000000);
    visit("limit", limit, "use the first N reports of each file and split; 0 = all", 0, kAnyCount);
    visit.list("sources", sources, "where reports come from", Presence::kRequired);
  }
};

/// Fields of a task in a recipe (the struct belongs to data/).
inline void describe(Task& task, FieldVisitor& visit) {
  visit("name", task.name, "names the task in scores and on the command line", TextKind::kPlain,
        Presence::kRequired);
  visit("kind", task.kind, "a label of a closed list, or free text", kTaskKindNames);
  visit("context", task.context, "template of the report's text; {findings} = that field",
        TextKind::kPlain);
  visit("question", task.question, "template of what is asked about it", TextKind::kPlain);
  visit("answer", task.answer,
        "template of the reference answer; a classification takes {label:NAME}, a label of the "
        "report, and nothing else",
        TextKind::kPlain, Presence::kRequired);
  visit("labels", task.labels,
        "classification: each value of that label, and the answer of the model for it");
  visit("weight", task.weight,
        "what a token of its answers counts in the loss; a label has few tokens beside a text",
        Range::positive(1000));
}

/// Group `lora`: the adapter.
struct LoraRecipe {
  int64_t rank = 8;
  double alpha = 16;
  double dropout = 0.05;
  std::vector<std::string> targets = {"W_pack"};
  bool rslora = false;
  bool dora = false;
  LoraInitChoice init = LoraInitChoice::kUniform;

  void describe(FieldVisitor& visit) {
    visit("rank", rank, "adapter width", 1, 64);
    visit("alpha", alpha, "the update is scaled by alpha / rank", Range::positive(1024));
    visit("dropout", dropout, "chance to drop an adapter input", Range::half_open(0, 1));
    visit("targets", targets,
          "linears that get an adapter; q_proj, k_proj and v_proj are the thirds of W_pack",
          Names(kTargetNames));
    visit("rslora", rslora, "scale by alpha / sqrt(rank) instead");
    visit("dora", dora, "DoRA: each row of an adapted weight has a trained length");
    visit(
        "init", init,
        "uniform = A at random, B zero; pissa = the largest singular values of the base, saved as "
        "a plain adapter of twice the rank",
        kLoraInitNames);
  }
};

/// Group `optim`: the optimizer.
struct OptimRecipe {
  double learning_rate = 1e-4;
  ScheduleChoice schedule = ScheduleChoice::kCosine;
  double warmup_fraction = 0.03;
  double weight_decay = 0;
  double beta1 = 0.9;
  double beta2 = 0.999;
  double epsilon = 1e-8;
  double clip_norm = 1;
  double loraplus_ratio = 1;

  void describe(FieldVisitor& visit) {
    visit("learning_rate", learning_rate, "highest step size of AdamW", Range::positive(1));
    visit("schedule", schedule, "how the step size goes on after warm-up", kScheduleNames);
    visit("warmup_fraction", warmup_fraction, "share of the steps in which it rises from 0", 0, 1);
    visit("weight_decay", weight_decay, "decoupled decay of AdamW", 0, 1);
    visit("beta1", beta1, "memory of the first moment", Range::half_open(0, 1));
    visit("beta2", beta2, "memory of the second moment", Range::half_open(0, 1));
    visit("epsilon", epsilon, "added to the root of the second moment", Range::positive(1));
    visit("clip_norm", clip_norm, "largest gradient norm; 0 = no clipping", 0, 1e6);
    visit("loraplus_ratio", loraplus_ratio,
          "LoRA+: learning rate of B over that of A; 16 is usual, 1 = off", Range::positive(1024));
  }
};

/// Group `train`: the run.
struct TrainRecipe {
  ParametersChoice parameters = ParametersChoice::kAdapter;
  std::string head = "causal_lm";
  std::string head_task;
  int64_t epochs = 3;
  int64_t steps = 0;
  int64_t pack_tokens = 4096;
  int64_t packs_per_step = 1;
  SharingChoice sharing = SharingChoice::kShared;
  int64_t seed = 0;
  int64_t evaluate_every = 0;
  int64_t early_stop = 0;
  int64_t save_every = 0;
  double save_minutes = 0;
  int64_t keep_checkpoints = 2;
  bool keep_best = false;
  int64_t max_bad_steps = 5;
  double neftune_alpha = 0;
  int64_t threads = 0;

  void describe(FieldVisitor& visit) {
    visit("parameters", parameters, "train an adapter, or all weights", kParametersNames);
    visit("head", head, "causal_lm, classifier, or one of your own", TextKind::kPlain);
    visit("head_task", head_task, "the task that a classifier head learns, and alone answers",
          TextKind::kPlain);
    visit("epochs", epochs, "times through the data; 0 = by steps", 0, 1000000);
    visit("steps", steps, "updates; 0 = by epochs", 0, kAnyCount);
    visit("pack_tokens", pack_tokens, "tokens of a micro-batch", 16, 1000000);
    visit("packs_per_step", packs_per_step, "micro-batches of an update", 1, 1000000);
    visit("sharing", sharing, "compute a report once for all its tasks, or once for each",
          kSharingNames);
    visit("seed", seed, "of initialisation, order and dropout", 0, kAnyCount);
    visit("evaluate_every", evaluate_every, "steps between evaluations; 0 = at epoch ends", 0,
          kAnyCount);
    visit("early_stop", early_stop, "evaluations without improvement that end the run; 0 = off", 0,
          1000000);
    visit("save_every", save_every, "steps between checkpoints; 0 = not by steps", 0, kAnyCount);
    visit("save_minutes", save_minutes,
          "minutes between checkpoints; 0 = not by time; at the end there is one anyway", 0, 1e6);
    visit("keep_checkpoints", keep_checkpoints, "newest checkpoints kept", 1, 1000000);
    visit("keep_best", keep_best,
          "save at every evaluation that is the best so far, and keep that checkpoint too");
    visit("max_bad_steps", max_bad_steps, "steps in a row without finite gradients that end it", 1,
          1000000);
    visit("neftune_alpha", neftune_alpha,
          "NEFTune: noise on the embeddings while training; 5 is usual, 0 = none", 0, 1000);
    visit("threads", threads, "processor threads; 0 = all", 0, 4096);
  }
};

/// Group `distributed`: several ranks.
struct DistributedRecipe {
  ReductionChoice reduction = ReductionChoice::kOrdered;
  BaseChoice base = BaseChoice::kReplicated;
  std::string interface;
  double start_timeout = 600;
  double timeout = 120;

  void describe(FieldVisitor& visit) {
    visit("reduction", reduction,
          "sum of the gradients: ordered = the same bits on any number of ranks; allreduce",
          kReductionNames);
    visit("base", base,
          "replicated = every rank holds the base; sharded = a part each, layers gathered for use",
          kBaseNames);
    visit("interface", interface,
          "network interface or address that ranks reach each other by, the only one listened on; "
          "empty = the one that leads to rank 0",
          TextKind::kPlain);
    visit("start_timeout", start_timeout,
          "seconds for all ranks to connect; again to come to the first step and past each save",
          Range::positive(1e6));
    visit("timeout", timeout, "seconds to wait for a rank in a step, or for a sign of its life",
          Range::positive(1e6));
  }
};

/// Group `evaluate`: generation and scores.
struct EvaluateRecipe {
  SplitChoice split = SplitChoice::kTest;
  int64_t limit = 0;
  int64_t batch = 32;
  int64_t max_new_tokens = 256;
  double temperature = 0;
  int64_t top_k = 0;
  double top_p = 1;
  double repetition_penalty = 1;
  int64_t bootstrap = 1000;
  bool calibrate = true;
  bool compare_base = true;
  bool baselines = true;

  void describe(FieldVisitor& visit) {
    visit("split", split, "the reports that are scored", kSplitNames);
    visit("limit", limit,
          "score N reports, drawn from all held-out ones by a hash of their ids; 0 = all", 0,
          kAnyCount);
    visit("batch", batch, "examples generated at a time", 1, 65536);
    visit("max_new_tokens", max_new_tokens, "longest answer", 1, 1000000);
    visit("temperature", temperature, "of sampling; 0 = greedy", 0, 100);
    visit("top_k", top_k, "sample among the k likeliest tokens; 0 = all", 0, 1000000);
    visit("top_p", top_p, "sample among the likeliest tokens of this probability; 1 = all",
          Range::positive(1));
    visit("repetition_penalty", repetition_penalty, "divides logits of tokens seen; 1 = off",
          Range::positive(10));
    visit("bootstrap", bootstrap, "resamples of the confidence intervals; 0 = none", 0, 1000000);
    visit("calibrate", calibrate,
          "fit the temperature of label probabilities on validation, unless that is scored");
    visit("compare_base", compare_base,
          "score the base without adapter too, unless head_task is given");
    visit("baselines", baselines, "score majority class, first sentences, nearest neighbour too");
  }
};

/// Group `output`: where the run is kept.
struct OutputRecipe {
  std::string folder;
  ExistingChoice existing = ExistingChoice::kError;

  void describe(FieldVisitor& visit) {
    visit("folder", folder, "the run folder; made if absent", TextKind::kPath, Presence::kRequired);
    visit("existing", existing, "what to do when it is not empty", kExistingNames);
  }
};

/// Everything about a run. Fields of the groups, with their meaning: recipes/README.md.
struct Recipe {
  ModelRecipe model;
  DataRecipe data;
  std::vector<Task> tasks = default_tasks();
  LoraRecipe lora;
  OptimRecipe optim;
  TrainRecipe train;
  DistributedRecipe distributed;
  EvaluateRecipe evaluate;
  OutputRecipe output;

  /// The file it was read from, for messages; not a field.
  std::string file;

  void describe(FieldVisitor& visit) {
    visit.group("model", model, "the base and its tokenizer");
    visit.group("data", data, "the reports and how they are split");
    visit.list("tasks", tasks, "what is asked about a report; absent = the four RadGPT tasks",
               Presence::kOptional);
    visit.group("lora", lora, "the adapter");
    visit.group("optim", optim, "the optimizer");
    visit.group("train", train, "the run");
    visit.group("distributed", distributed, "several ranks");
    visit.group("evaluate", evaluate, "generation and scores");
    visit.group("output", output, "where the run is kept");
  }
};

}  // namespace radgpt
