#include "libradgpt/record/model_card.h"

#include <array>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <set>

#include "libradgpt/base/error.h"
#include "libradgpt/base/files.h"
#include "libradgpt/base/folder_name.h"
#include "libradgpt/record/run_facts.h"

namespace radgpt {
namespace {

/// What of a card depends on its kind alone.
struct KindText {
  const char* title;
  const char* framework;
  const char* what;
  const char* load;
};

constexpr const char* kPromptFormat =
    "A prompt is `<reserved_106>` (id 195), the text, `<reserved_107>` (id 196), without a "
    "begin-of-text\ntoken; an answer ends with `</s>` (id 2). Take `<reserved_…>`, `<s>` and "
    "`</s>` "
    "out of texts before\nthey go into a prompt: outside libradgpt they would become control "
    "tokens.\n";

constexpr std::array<KindText, 5> kKinds = {{
    {"LoRA adapter", "peft", "A LoRA adapter for Baichuan2 in PEFT's layout (fp32).",
     "```\nradgpt generate --model BASE --adapter . --task TASK --input REPORT\n```\n\n"
     "```python\nmodel = AutoModelForCausalLM.from_pretrained(\"BASE\", trust_remote_code=True)\n"
     "model = PeftModel.from_pretrained(model, \".\")\n```\n\n"
     "`radgpt merge` puts it into the weights of its base, for LLaMA runtimes and llama.cpp "
     "too.\n"},
    {"Baichuan2 model", "transformers", "A model of Baichuan2's architecture, all weights trained.",
     "```\nradgpt generate --model . --task TASK --input REPORT\n```\n\n"
     "`radgpt merge --llama` or `--gguf` writes it for other runtimes.\n"},
    {"merged Baichuan2 model", "transformers",
     "Baichuan2 with a LoRA adapter merged into its weights, in the layout of the base. `lm_head` "
     "is\nnormalised already, which changes no logits.",
     "```\nradgpt generate --model . --task TASK --input REPORT\n```\n\n"
     "vLLM knows the architecture; transformers takes it with the Python files of the official\n"
     "release beside it (`trust_remote_code=True`).\n"},
    {"model in LLaMA's layout", "transformers",
     "A Baichuan2 model of the RoPE (7B) kind as a LLaMA model: `W_pack` is split into `q_proj`, "
     "`k_proj`\nand `v_proj`, and `lm_head` is normalised, so that every LLaMA runtime computes "
     "the "
     "same logits.",
     "```python\nmodel = AutoModelForCausalLM.from_pretrained(\".\")\n"
     "tokenizer = AutoTokenizer.from_pretrained(\".\")\n```\n"},
    {"GGUF model", "gguf",
     "A Baichuan2 model as a GGUF file, its output head normalised, which llama.cpp does not do.",
     "```\nllama-cli -m FILE.gguf -p \"<reserved_106>TEXT<reserved_107>\" -no-cnv\n```\n"},
}};

std::string name_of_base(const ModelCardSource& source, const RunFacts* run) {
  if (run != nullptr) return run->base;
  return folder_name(source.base);
}

/// The official bases have an address at Hugging Face.
std::string hub_name(const std::string& base) {
  static const std::set<std::string> kOfficial = {"Baichuan2-7B-Base", "Baichuan2-7B-Chat",
                                                  "Baichuan2-13B-Base", "Baichuan2-13B-Chat"};
  return (kOfficial.contains(base) ? "baichuan-inc/" : "") + base;
}

std::string in_cell(const std::string& text) {
  std::string cell;
  for (const char c : text) {
    if (c == '|') cell += '\\';
    cell += c == '\n' ? ' ' : c;
  }
  return cell;
}

std::string short_number(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.4g", value);
  return text;
}

class Card {
 public:
  void line(const std::string& text) { text_ += text + "\n"; }
  void section(const char* title) { text_ += concat("\n## ", title, "\n\n"); }
  void table() { text_ += "| | |\n|---|---|\n"; }
  template <typename Value>
  void row(const std::string& name, const Value& value) {
    text_ += concat("| ", in_cell(name), " | ", in_cell(concat(value)), " |\n");
  }
  const std::string& text() const { return text_; }

 private:
  std::string text_;
};

void add_front_matter(Card& card, const KindText& kind, const std::string& base,
                      ModelCardKind card_kind) {
  card.line("---\nlanguage:\n- zh");
  card.line(concat("library_name: ", kind.framework));
  if (!base.empty()) {
    card.line("base_model: " + nlohmann::json(hub_name(base)).dump());
    if (card_kind == ModelCardKind::kAdapter) card.line("base_model_relation: adapter");
  }
  card.line("license: other\nlicense_name: that-of-the-base-model");
  card.line("pipeline_tag: text-generation\ntags:");
  card.line("- baichuan2\n- radiology\n- medical\n- libradgpt");
  if (card_kind == ModelCardKind::kAdapter) card.line("- lora");
  card.line("---\n");
}

void add_data(Card& card, const RunFacts& run) {
  card.section("Data");
  card.line("Radiology reports in Chinese that are not published with the model. Tasks:\n");
  for (const auto& [name, kind] : run.tasks) card.line(concat("* `", name, "` (", kind, ")"));
  card.line("");
  card.table();
  for (const auto& [name, count] : run.counts) {
    if (name != "steps" && name != "trained parameters") card.row(name, count);
  }
  for (size_t i = 0; i < run.data_digests.size(); ++i) {
    card.row(concat("SHA-256 of data file ", i + 1), "`" + run.data_digests[i] + "`");
  }
}

void add_training(Card& card, const RunFacts& run) {
  card.section("Recipe");
  card.line("| field | value |\n|---|---|");
  for (const auto& [field, value] : run.settings) card.row(field, value);
  card.section("Training");
  card.table();
  for (const char* name : {"trained parameters", "steps"}) {
    if (run.counts.contains(name)) card.row(name, run.counts.at(name));
  }
  if (run.last_loss) card.row("loss of the last step", short_number(*run.last_loss));
  if (run.validation_loss) card.row("lowest validation loss", short_number(*run.validation_loss));
  card.row("type", run.type);
  card.row("written", run.written);
  for (const auto& [name, version] : run.software) card.row(name, version);
  for (const auto& [name, value] : run.result) {
    card.row(name == "end" ? name : "SHA-256 of " + name,
             name == "end" ? value : "`" + value + "`");
  }
  for (const auto& [name, digest] : run.identity) {
    card.row("identity of the " + name, "`" + digest + "`");
  }
}

void add_scores(Card& card, const RunFacts& run) {
  if (run.scores.empty()) return;
  card.section("Scores");
  card.line("Over all held-out reports.\n");
  std::set<std::string> systems;
  for (const ScoreFact& fact : run.scores) {
    for (const auto& [system, value] : fact.values) systems.insert(system);
  }
  std::string header = "| task | score | items |", rule = "|---|---|--:|";
  for (const std::string& system : systems) {
    header += " " + in_cell(system) + " |";
    rule += "--:|";
  }
  card.line(header);
  card.line(rule);
  for (const ScoreFact& fact : run.scores) {
    std::string row = concat("| ", in_cell(fact.task), " | ", fact.metric, " | ", fact.items, " |");
    for (const std::string& system : systems) {
      const auto found = fact.values.find(system);
      row += found == fact.values.end() ? " |" : " " + short_number(found->second) + " |";
    }
    card.line(row);
  }
}

void add_use(Card& card, const KindText& kind) {
  card.section("Intended use and limits");
  card.line(
      "For research on Chinese radiology reports of the kinds it was trained on. Its answers are "
      "to "
      "be\nread by a physician; it is no medical device and makes no diagnosis. It can be wrong "
      "about sides,\nnegations and sizes, and is worse on reports of other hospitals, modalities "
      "and "
      "styles. Weights can\nrepeat what they were trained on: treat them as confidentially as the "
      "reports. The licence is that\nof the base.");
  card.section("How to load it");
  card.line(kind.load);
  card.line(kPromptFormat);
}

}  // namespace

void write_model_card(const std::string& folder, const ModelCardSource& source) {
  const KindText& kind = kKinds[static_cast<size_t>(source.kind)];
  std::optional<RunFacts> run;
  if (!source.run.empty()) run = read_run_facts(source.run);
  const std::string base = name_of_base(source, run ? &*run : nullptr);
  Card card;
  add_front_matter(card, kind, base, source.kind);
  card.line(concat("# RadGPT: ", kind.title, "\n"));
  card.line("## What it is\n");
  card.line(kind.what);
  card.section("Base");
  card.line(base.empty() ? "None: it was trained from random weights."
                         : concat("`", hub_name(base), "`"));
  if (run) {
    add_data(card, *run);
    add_training(card, *run);
    add_scores(card, *run);
  }
  add_use(card, kind);
  write_file_atomically(folder + "/README.md", card.text());
}

}  // namespace radgpt
