#include "tests/checkpoint/manifest_edit.h"

#include <fstream>

#include "libradgpt/base/hash.h"

namespace radgpt {

void edit_manifest(const std::string& step_folder,
                   const std::function<void(nlohmann::json&)>& edit) {
  const std::string path = step_folder + "/MANIFEST.json";
  std::ifstream file(path);
  nlohmann::json manifest = nlohmann::json::parse(file);
  edit(manifest);
  manifest.erase("digest");
  manifest["digest"] = to_hex(sha256(manifest.dump()));
  std::ofstream(path) << manifest.dump(1);
}

void replace_state(const std::string& step_folder, const std::string& bytes) {
  std::ofstream(step_folder + "/state.safetensors", std::ios::binary) << bytes;
  edit_manifest(step_folder, [&](nlohmann::json& manifest) {
    manifest["files"]["state.safetensors"] = {{"size", bytes.size()},
                                              {"sha256", to_hex(sha256(bytes))}};
  });
}

}  // namespace radgpt
