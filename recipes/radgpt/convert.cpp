#include <filesystem>
#include <iostream>

#include "libradgpt/base/error.h"
#include "libradgpt/lora/conversion.h"
#include "recipes/radgpt/verbs.h"

namespace radgpt {

namespace {

struct ConvertArguments {
  std::string adapter;
  std::string out;
  std::string to;
};

void convert(const ConvertArguments& arguments) {
  namespace fs = std::filesystem;
  require(!fs::exists(arguments.out) || fs::is_empty(arguments.out), arguments.out,
          ": must be absent or an empty folder, got something");
  const bool packed = arguments.to == "packed";
  convert_adapter(arguments.adapter, arguments.out,
                  packed ? ProjectionNames::kPacked : ProjectionNames::kSplit);
  std::cout << "adapter in " << arguments.out << "\n";
}

}  // namespace

void add_convert(CLI::App& app) {
  CLI::App* verb = app.add_subcommand(
      "convert", "write an adapter of W_pack for q_proj, k_proj, v_proj, or back");
  verb->footer(
      "A Baichuan2 in LLaMA's layout has q_proj, k_proj and v_proj in place of W_pack. An adapter\n"
      "that was trained on one is used on the other after this; no model is needed.");
  auto arguments = std::make_shared<ConvertArguments>();
  verb->add_option("--adapter", arguments->adapter, "folder of the adapter")->required();
  verb->add_option("--out", arguments->out, "folder to write; absent or empty")->required();
  verb->add_option("--to", arguments->to, "packed (W_pack) or split (q_proj, k_proj, v_proj)")
      ->required()
      ->check(CLI::IsMember({"packed", "split"}));
  verb->callback([arguments] { convert(*arguments); });
}

}  // namespace radgpt
