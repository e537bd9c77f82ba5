#pragma once

#include <functional>
#include <nlohmann/json.hpp>
#include <string>

namespace radgpt {

/// Changes the manifest of a checkpoint's folder and gives it the digest that fits, as somebody
/// would who means it.
void edit_manifest(const std::string& step_folder,
                   const std::function<void(nlohmann::json&)>& edit);

/// Replaces the state's file by one of these bytes, and describes it in the manifest.
void replace_state(const std::string& step_folder, const std::string& bytes);

}  // namespace radgpt
