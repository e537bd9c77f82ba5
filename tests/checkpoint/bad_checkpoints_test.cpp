// The cases of a checkpoint folder that is not as it should be, each with what is said.

#include <sys/stat.h>
#include <torch/types.h>

#include <cmath>
#include <filesystem>
#include <functional>
#include <string>

#include "libradgpt/base/error.h"
#include "libradgpt/formats/safetensors.h"
#include "tests/base/temporary_folder.h"
#include "tests/base/without_privileges.h"
#include "tests/catch.h"
#include "tests/checkpoint/manifest_edit.h"
#include "tests/checkpoint/small_checkpoint.h"

namespace radgpt {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

enum class Outcome {
  kPassedOver,  ///< one note, and the checkpoint before is used
  kNoted,       ///< one note, and the checkpoint is used
  kRefused,     ///< Error(kInput), exit code 3
};

struct Case {
  std::string name;
  std::function<void(const TemporaryFolder&)> spoil;  ///< a store with steps 1 and 2
  Outcome outcome;
  std::string said;  ///< behind "FOLDER/step-2"
};

const CheckpointNeeds kNeeds = {{{"parameters", 5}, {"second_moment", 5}}, 100};

/// What is said of step 2, and the step that is used, 0 if none.
struct Answer {
  int64_t step = 0;
  std::string said;
  Outcome outcome = Outcome::kRefused;
};

Answer ask(const TemporaryFolder& folder) {
  Answer answer;
  Notes notes;
  try {
    const CheckpointStore store(folder.path(), 2, kIdentity);
    const auto loaded = store.load_newest(notes.taker(), kNeeds);
    if (loaded) answer.step = loaded->step;
    answer.outcome = answer.step == 2 ? Outcome::kNoted : Outcome::kPassedOver;
    for (const std::string& line : notes.lines) answer.said += line;
  } catch (const Error& error) {
    CHECK(error.exit_code() == 3);
    answer.said = error.what();
  }
  return answer;
}

void check(const Case& expected) {
  INFO(expected.name);
  const TemporaryFolder folder;
  {
    CheckpointStore store(folder.path(), 2, kIdentity);
    for (const int64_t step : {1, 2}) store.save(small_checkpoint(step));
  }
  expected.spoil(folder);
  const Answer answer = ask(folder);
  CHECK(answer.outcome == expected.outcome);
  const bool passed_over = expected.outcome == Outcome::kPassedOver;
  const std::string begin = passed_over ? "checkpoint passed over: " : "";
  CHECK(answer.said == begin + folder.file("step-2") + expected.said);
  if (passed_over) CHECK(answer.step == 1);
}

auto edit(const std::function<void(Json&)>& change) {
  return [change](const TemporaryFolder& folder) { edit_manifest(folder.file("step-2"), change); };
}

/// Another state whose size and SHA-256 are those of the manifest.
auto state(const std::string& first, const at::Tensor& moment) {
  return [first, moment](const TemporaryFolder& folder) {
    const auto bytes = [](const at::Tensor& tensor) {
      return std::span{static_cast<const std::byte*>(tensor.const_data_ptr()), tensor.nbytes()};
    };
    const at::Tensor parameters = at::ones({5});
    const DataType type = moment.scalar_type() == at::kFloat ? DataType::kF32 : DataType::kF16;
    const std::string path = folder.file("other");
    write_safetensors(path, {{{first, DataType::kF32, {5}}, bytes(parameters)},
                             {{"second_moment", type, {moment.numel()}}, bytes(moment)}});
    replace_state(folder.file("step-2"), folder.read("other"));
    fs::remove(path);
  };
}

TEST_CASE("Bad checkpoints: files that are missing, cut, changed or too many") {
  const std::string manifest = "step-2/MANIFEST.json", file = "step-2/state.safetensors";
  check({"CK01, an empty folder",
         [&](const TemporaryFolder& folder) {
           fs::remove(folder.file(manifest));
           fs::remove(folder.file(file));
         },
         Outcome::kPassedOver, "/MANIFEST.json: no such file"});
  check({"CK03, no manifest",
         [&](const TemporaryFolder& folder) { fs::remove(folder.file(manifest)); },
         Outcome::kPassedOver, "/MANIFEST.json: no such file"});
  check({"CK04, a manifest that is cut",
         [&](const TemporaryFolder& folder) { folder.write(manifest, "{\"version\": 1,"); },
         Outcome::kPassedOver,
         "/MANIFEST.json:1:15: must be valid JSON, got end of input; expected string literal"});
  check({"CK05, a manifest that was changed",
         [&](const TemporaryFolder& folder) {
           std::string text = folder.read(manifest);
           text.replace(text.find("\"position\": 2"), 13, "\"position\": 7");
           folder.write(manifest, text);
         },
         Outcome::kPassedOver,
         "/MANIFEST.json: digest: must match the manifest; the file was changed"});
  check({"CK07, no state", [&](const TemporaryFolder& folder) { fs::remove(folder.file(file)); },
         Outcome::kPassedOver, "/state.safetensors: no such file"});
  check({"CK08, a state of another size",
         [&](const TemporaryFolder& folder) { folder.write(file, "1234567"); },
         Outcome::kPassedOver, "/state.safetensors: must have 184 bytes, got 7"});
  check({"CK09, other bytes",
         [&](const TemporaryFolder& folder) { folder.write(file, std::string(184, 'x')); },
         Outcome::kPassedOver,
         "/state.safetensors: must have the SHA-256 of its manifest; the file is damaged"});
  check({"CK10, one file more",
         [&](const TemporaryFolder& folder) { folder.write("step-2/notes.txt", "x"); },
         Outcome::kNoted, "/notes.txt: is no part of the checkpoint"});
}

TEST_CASE("Bad checkpoints: manifests that say what cannot be") {
  check({"CK06, a later version", edit([](Json& json) { json["version"] = 2; }), Outcome::kRefused,
         "/MANIFEST.json: version: must be at most 1, got 2; a later version of libradgpt wrote "
         "it"});
  for (const std::string name : {"../x", "/etc/passwd", "a/b", "", ".hidden"}) {
    check({"CK11, the name " + name,
           edit([&](Json& json) { json["files"][name] = json["files"]["state.safetensors"]; }),
           Outcome::kPassedOver,
           "/MANIFEST.json: files: must be names of plain files in the folder"});
  }
  check({"CK18, a step behind the end", edit([](Json& json) { json["step"] = 101; }),
         Outcome::kPassedOver,
         "/MANIFEST.json: step: must be that of the folder's name, 2, got 101"});
}

TEST_CASE("Bad checkpoints: those of another run are refused by name") {
  const auto other = [](const std::string& name) {
    return edit([name](Json& json) { json["identity"][name] = "ff"; });
  };
  const std::string rest = " must be the one of the run that is resumed, got another";
  check({"CK12, another base", other("base"), Outcome::kRefused, ": identity: the base" + rest});
  check(
      {"CK14, another data set", other("data"), Outcome::kRefused, ": identity: the data" + rest});
  check({"CK15 and CK16, another rank of adapters or global batch", other("recipe"),
         Outcome::kRefused, ": identity: the recipe" + rest});
  check({"two that differ", edit([](Json& json) {
           json["identity"] = {{"data", "c3"}};
         }),
         Outcome::kRefused, ": identity: the base and the recipe" + rest});
}

TEST_CASE("Bad checkpoints: states of another shape or type, or with what is no number") {
  const at::Tensor moment = at::ones({5});
  check({"CK19, too few elements", state("parameters", at::ones({4})), Outcome::kPassedOver,
         "/state.safetensors: second_moment: must have 5 elements, got 4"});
  check({"CK19, a tensor that is missing", state("something", moment), Outcome::kPassedOver,
         "/state.safetensors: parameters: must be there, got no such tensor"});
  check({"another type", state("parameters", at::ones({5}, at::kHalf)), Outcome::kPassedOver,
         "/state.safetensors: second_moment: must be F32, got F16"});
  for (const float value : {std::nanf(""), INFINITY, -INFINITY}) {
    at::Tensor bad = moment.clone();
    bad[3] = value;
    check({"CK20", state("parameters", bad), Outcome::kPassedOver,
           "/state.safetensors: second_moment: must be finite"});
  }
}

TEST_CASE("Bad checkpoints: one behind the run's end is passed over (CK18)") {
  const TemporaryFolder folder;
  CheckpointStore store(folder.path(), 2, kIdentity);
  for (const int64_t step : {100, 101}) store.save(small_checkpoint(step));
  Notes notes;
  CHECK(store.load_newest(notes.taker(), kNeeds)->step == 100);
  CHECK(notes.lines == std::vector<std::string>{
                           "checkpoint passed over: " + folder.file("step-101/MANIFEST.json") +
                           ": step: must be at most 100, the last of the run, got 101"});
}

TEST_CASE("Bad checkpoints: a folder with nothing but an unfinished one has none (CK02)") {
  const TemporaryFolder folder;
  fs::create_directory(folder.file(".unfinished-step-2"));
  folder.write(".unfinished-step-2/state.safetensors", "half");
  const Answer answer = ask(folder);
  CHECK(answer.step == 0);
  CHECK(answer.said == "");
  CHECK(names_in(folder.path()) == std::vector<std::string>{".lock"});
}

TEST_CASE("Bad checkpoints: a folder that cannot be written is an error at the start (CK22)") {
  const TemporaryFolder folder;
  { const CheckpointStore store(folder.path(), 2, kIdentity); }
  chmod(folder.path().c_str(), 0555);
  std::string said;
  {
    const WithoutPrivileges guard;
    try {
      const CheckpointStore store(folder.path(), 2, kIdentity);
    } catch (const Error& error) {
      said = concat(error.exit_code(), " ", error.what());
    }
  }
  chmod(folder.path().c_str(), 0700);
  CHECK(said == "4 " + folder.path() + ": must be a folder that can be written: Permission denied");
}

}  // namespace
}  // namespace radgpt
