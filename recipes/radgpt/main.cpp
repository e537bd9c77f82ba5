#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <iostream>
#include <span>

#include "libradgpt/base/error.h"
#include "libradgpt/base/text.h"
#include "libradgpt/base/version.h"
#include "recipes/radgpt/current_error.h"
#include "recipes/radgpt/verbs.h"

namespace radgpt {
namespace {

constexpr int kUsageExit = static_cast<int>(ErrorKind::kUsage);

/// Reports are private: what is written is for the user alone, and a crash leaves no core.
void protect_files() {
  umask(077);
  const rlimit none = {0, 0};
  setrlimit(RLIMIT_CORE, &none);
}

void add_verbs(CLI::App& app) {
  add_train(app);
  add_launch(app);
  add_evaluate(app);
  add_generate(app);
  add_simulate(app);
  add_prepare(app);
  add_tokens(app);
  add_merge(app);
  add_convert(app);
  add_recipes(app);
  add_plan(app);
}

using Arguments = std::span<char* const>;

/// Whether it may be a report that was given in the place of a name: it is not plain ASCII or
/// longer than a name in a folder can be, and no file is called so.
bool may_be_report(const std::string& text) {
  constexpr size_t kLongestName = 255;
  const bool is_plain =
      std::all_of(text.begin(), text.end(), [](char c) { return c >= 0x20 && c < 0x7F; });
  std::error_code error;
  return (!is_plain || text.size() > kLongestName) && !std::filesystem::exists(text, error);
}

/// The message with the names of such arguments instead of their text.
std::string without_reports(std::string message, Arguments arguments) {
  for (size_t i = 1; i < arguments.size(); ++i) {
    std::string text = arguments[i];
    std::string name = concat("argument ", i);
    if (text.starts_with("--") && text.find('=') != std::string::npos) {
      name = text.substr(0, text.find('='));
      text.erase(0, name.size() + 1);
    } else if (std::string_view(arguments[i - 1]).starts_with("--")) {
      name = arguments[i - 1];
    }
    if (!may_be_report(text)) continue;
    const std::string shown = concat(name, " of ", text.size(), " bytes");
    for (size_t at; (at = message.find(text)) != std::string::npos;) {
      message.replace(at, text.size(), shown);
    }
  }
  return message;
}

/// Prints the fault and gives the exit code back.
int report(const std::string& message, int exit_code) {
  std::cerr << "error: " << message << "\n";
  return exit_code;
}

/// CLI11 tells more in further ones.
std::string first_line(const std::string& text) { return text.substr(0, text.find('\n')); }

/// The verb that was parsed last.
const CLI::App& innermost(const CLI::App& app) {
  const CLI::App* verb = &app;
  while (!verb->get_subcommands().empty()) verb = verb->get_subcommands().front();
  return *verb;
}

/// "unknown verb trian; did you mean train?" where CLI11 only says that it lacks one; else empty.
std::string unknown_word(const CLI::App& verb) {
  std::vector<std::string_view> names;
  for (const CLI::App* known : verb.get_subcommands([](const CLI::App*) { return true; })) {
    names.push_back(known->get_name());
  }
  const std::vector<std::string> rest = verb.remaining();
  if (names.empty() || rest.empty()) return "";
  if (rest.front().starts_with("-")) return concat("unknown option ", rest.front());
  const std::string meant = nearest_name(rest.front(), names);
  return concat("unknown verb ", rest.front(),
                meant.empty() ? "" : concat("; did you mean ", meant, "?"));
}

int report_usage(const CLI::App& app, const CLI::ParseError& error, Arguments arguments) {
  if (error.get_exit_code() == 0) return app.exit(error);  // --help, --version
  const CLI::App& verb = innermost(app);
  std::string message = unknown_word(verb);
  if (message.empty()) message = error.what();
  message = first_line(without_reports(message, arguments));
  std::string name;
  for (const CLI::App* part = &verb; part != nullptr; part = part->get_parent()) {
    name = concat(part->get_name(), " ", name);
  }
  return report(concat(message, " (see ", name, "--help)"), kUsageExit);
}

/// A full disk shows when the last output is written, if not before.
void flush_output() {
  std::cout.flush();
  if (std::fflush(stdout) != 0 || !std::cout || std::ferror(stdout) != 0) {
    fail(ErrorKind::kEnvironment, "standard output: cannot be written");
  }
}

int run(Arguments arguments) {
  CLI::App app("Fine-tunes Baichuan2 on radiology reports and scores what it has learnt.",
               "radgpt");
  app.set_version_flag("--version", std::string(version()));
  app.require_subcommand(1);
  add_verbs(app);
  try {
    app.parse(static_cast<int>(arguments.size()), arguments.data());
    flush_output();
  } catch (const CLI::RuntimeError& error) {
    return error.get_exit_code();  // of a verb that has said why
  } catch (const CLI::ParseError& error) {
    return report_usage(app, error, arguments);
  } catch (...) {
    const Error error = current_error();
    return report(without_reports(error.what(), arguments), error.exit_code());
  }
  return 0;
}

}  // namespace
}  // namespace radgpt

int main(int argc, char** argv) {
  radgpt::protect_files();
  const int exit_code = radgpt::run({argv, static_cast<size_t>(argc)});
  // Threads of a communicator may still run; they must not meet destroyed statics.
  std::cout.flush();
  std::fflush(nullptr);
  _exit(exit_code);
}
