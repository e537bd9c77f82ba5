#include "libradgpt/config/rules.h"

#include <set>

#include "libradgpt/base/error.h"
#include "libradgpt/config/scalar.h"
#include "libradgpt/data/task_templates.h"

namespace radgpt {
namespace {

/// The rules of one recipe; each member function is a group of them.
class Rules {
 public:
  Rules(const YamlNode& root, const GivenFields& given, Recipe& recipe, Faults& faults)
      : root_(root), given_(given), recipe_(recipe), faults_(faults) {}

  void settle_duration();
  void check_model() const;
  void check_sources() const;
  void check_sizes() const;
  void check_tasks() const;
  void check_lora() const;
  void check_train() const;
  void check_distributed() const;

 private:
  bool is_given(const std::string& path) const { return given_.count(path) > 0; }

  /// A fault at the field's value, or where its group stands, unless it has one already.
  void fault(const std::string& path, const std::string& rule) const {
    if (faults_.concern(path)) return;
    std::string place = path;
    while (!place.empty() && !is_given(place)) {
      const size_t dot = place.rfind('.');
      place.resize(dot == std::string::npos ? 0 : dot);
    }
    faults_.add(place.empty() ? root_ : *given_.at(place), path, rule);
  }

  void check_shape_field(const std::string& path, bool is_set) const;
  void check_task(const std::string& path, const Task& task) const;
  void check_labels(const std::string& path, const LabelList& labels) const;

  const YamlNode& root_;
  const GivenFields& given_;
  Recipe& recipe_;
  Faults& faults_;
};

void Rules::settle_duration() {
  TrainRecipe& train = recipe_.train;
  const std::string epochs = "train.epochs";
  const std::string steps = "train.steps";
  if (train.steps > 0 && train.epochs > 0) {
    const auto from_argument = [&](const std::string& path) {
      return is_given(path) && given_.at(path)->line == 0;
    };
    if (!is_given(epochs) || (from_argument(steps) && !from_argument(epochs))) {
      train.epochs = 0;
    } else if (from_argument(epochs) && !from_argument(steps)) {
      train.steps = 0;
    } else {
      fault(steps, concat("excludes train.epochs, got ", train.steps, " beside ", train.epochs,
                          " epochs; one of them must be 0 or absent"));
    }
  }
  if (train.steps == 0 && train.epochs == 0) {
    fault(epochs, "must be above 0 where train.steps is 0, got 0");
  }
}

void Rules::check_shape_field(const std::string& path, bool is_set) const {
  if (faults_.concern("model.path")) return;
  const bool random = recipe_.model.path.empty();
  if (random && !is_set && !is_given("model.path")) {
    fault(path, "must be given where model.path is not: the base is then initialised at random");
  } else if (random && !is_set) {
    fault(path, "must be given where model.path is empty");
  } else if (!random && is_set) {
    fault(path, "excludes model.path, whose config.json says it");
  }
}

void Rules::check_model() const {
  const ModelRecipe& model = recipe_.model;
  check_shape_field("model.hidden_size", model.hidden_size != 0);
  check_shape_field("model.intermediate_size", model.intermediate_size != 0);
  check_shape_field("model.layers", model.layers != 0);
  check_shape_field("model.heads", model.heads != 0);
  check_shape_field("model.position", model.position != PositionChoice::kAuto);
  if (model.hidden_size == 0 || model.heads == 0) return;
  const int64_t head_size = model.hidden_size / model.heads;
  if (model.hidden_size % model.heads != 0) {
    fault("model.heads",
          concat("must divide model.hidden_size ", model.hidden_size, ", got ", model.heads));
  } else if (head_size % 2 != 0 && model.position == PositionChoice::kRope) {
    fault("model.heads", concat("must leave heads of an even size for rope, got ", head_size));
  }
}

void Rules::check_sources() const {
  const std::vector<SourceRecipe>& sources = recipe_.data.sources;
  if (is_given("data.sources") && sources.empty()) {
    fault("data.sources", "must list a source, got none");
  }
  std::set<std::string> seen;
  for (size_t i = 0; i < sources.size(); ++i) {
    const std::string path = concat("data.sources.", i);
    const SourceRecipe& source = sources[i];
    size_t files = 0;
    for (const auto* list : {&source.train, &source.validation, &source.test, &source.reports}) {
      files += list->size();
      for (const std::string& file : *list) {
        if (seen.insert(file).second) continue;
        fault(path, concat("must list a file once, got ", quoted_for_message(file), " again"));
      }
    }
    if (files == 0) fault(path, "must list a file in train, validation, test or reports");
  }
}

void Rules::check_sizes() const {
  const DataRecipe& data = recipe_.data;
  if (data.validation_fraction + data.test_fraction >= 1) {
    fault("data.test_fraction",
          concat("must leave reports to train on, got ", number_text(data.test_fraction),
                 " beside validation_fraction ", number_text(data.validation_fraction)));
  }
  const int64_t max_length = recipe_.model.max_length;
  const int64_t longest = data.max_tokens == 0 ? max_length : data.max_tokens;
  if (longest > max_length) {
    fault("data.max_tokens",
          concat("must be at most model.max_length ", max_length, ", got ", longest));
  }
  if (longest > recipe_.train.pack_tokens) {
    fault("train.pack_tokens", concat("must hold the largest example, ", longest,
                                      " tokens by data.max_tokens or model.max_length, got ",
                                      recipe_.train.pack_tokens));
  }
}

void Rules::check_labels(const std::string& path, const LabelList& labels) const {
  std::set<std::string> values;
  std::set<std::string> answers;
  for (const auto& [value, answer] : labels) {
    if (!values.insert(value).second || !answers.insert(answer).second) {
      fault(path, concat("must have different values and answers, got ", quoted_for_message(answer),
                         " again"));
    }
  }
}

void Rules::check_task(const std::string& path, const Task& task) const {
  if (task.name.empty()) fault(path + ".name", "must not be empty");
  for (const auto& [key, rule] : find_template_faults(task)) fault(concat(path, '.', key), rule);
  const std::string labels = path + ".labels";
  const bool classifies = task.kind == TaskKind::kClassification;
  if (classifies && !is_given(labels)) {
    fault(labels, "must be given for a classification");
  } else if (classifies && task.labels.size() < 2) {
    fault(labels, concat("must list two labels or more, got ", task.labels.size()));
  } else if (!classifies && !task.labels.empty()) {
    fault(labels, "must be left out for a generation");
  }
  check_labels(labels, task.labels);
}

void Rules::check_tasks() const {
  if (!is_given("tasks")) return;
  if (recipe_.tasks.empty()) fault("tasks", "must list a task, got none");
  std::set<std::string> names;
  for (size_t i = 0; i < recipe_.tasks.size(); ++i) {
    const Task& task = recipe_.tasks[i];
    const std::string path = concat("tasks.", i);
    check_task(path, task);
    if (!task.name.empty() && !names.insert(task.name).second) {
      fault(path + ".name",
            concat("must be its own, got ", quoted_for_message(task.name), " again"));
    }
  }
}

void Rules::check_lora() const {
  const LoraRecipe& lora = recipe_.lora;
  const int64_t hidden_size = recipe_.model.hidden_size;
  if (hidden_size > 0 && lora.rank > hidden_size) {
    fault("lora.rank",
          concat("must be at most model.hidden_size ", hidden_size, ", got ", lora.rank));
  }
  constexpr int64_t kMostRank = 64;  // what a GPU takes
  if (lora.init == LoraInitChoice::kPissa && lora.rank > kMostRank / 2) {
    fault("lora.rank", concat("must be at most ", kMostRank / 2,
                              " with lora.init pissa, whose adapter is saved with twice the rank, "
                              "got ",
                              lora.rank));
  }
  const std::set<std::string> distinct(lora.targets.begin(), lora.targets.end());
  if (lora.targets.empty()) {
    fault("lora.targets", "must list a linear, got none");
  } else if (distinct.size() < lora.targets.size()) {
    fault("lora.targets", "must list a linear once");
  } else if (distinct.count("all") > 0 && distinct.size() > 1) {
    fault("lora.targets", "must be [all] alone, or without it");
  } else if (distinct.count("W_pack") > 0 &&
             distinct.count("q_proj") + distinct.count("k_proj") + distinct.count("v_proj") > 0) {
    fault("lora.targets", "must list W_pack or its thirds q_proj, k_proj, v_proj, not both");
  }
}

void Rules::check_train() const {
  const TrainRecipe& train = recipe_.train;
  if (train.head == "classifier" && train.head_task.empty()) {
    fault("train.head_task", "must name the task that the classifier learns");
  }
  if (train.head_task.empty()) return;
  if (train.head == "causal_lm") {
    fault("train.head_task", "must be left out for causal_lm, which answers every task");
  } else if (train.parameters == ParametersChoice::kFull) {
    fault("train.head_task",
          "must be left out where train.parameters is full, whose model folder keeps no head");
  }
  for (const Task& task : recipe_.tasks) {
    if (task.name != train.head_task) continue;
    if (task.kind != TaskKind::kClassification) {
      fault("train.head_task",
            concat("must be a classification, got ", quoted_for_message(train.head_task)));
    }
    return;
  }
  fault("train.head_task",
        concat("must be one of the tasks, got ", quoted_for_message(train.head_task)));
}

/// What needs whole weights cannot have a sharded base.
void Rules::check_distributed() const {
  if (recipe_.distributed.base != BaseChoice::kSharded) return;
  const std::string reason = " with distributed.base sharded, which holds no weight whole";
  if (recipe_.train.parameters == ParametersChoice::kFull) {
    fault("train.parameters", "must be adapter" + reason + ", got full");
  }
  if (recipe_.lora.dora) fault("lora.dora", "must be false" + reason + ", got true");
  if (recipe_.lora.init == LoraInitChoice::kPissa) {
    fault("lora.init", "must be uniform" + reason + ", got pissa");
  }
}

}  // namespace

void check_rules(const YamlNode& root, const GivenFields& given, Recipe& recipe, Faults& faults) {
  Rules rules(root, given, recipe, faults);
  rules.settle_duration();
  rules.check_model();
  rules.check_sources();
  rules.check_sizes();
  rules.check_tasks();
  rules.check_lora();
  rules.check_train();
  rules.check_distributed();
}

}  // namespace radgpt
