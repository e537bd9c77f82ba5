#include <c10/util/Exception.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <iostream>
#include <new>

#include "libradgpt/base/error.h"
#include "libradgpt/base/text.h"
#include "libradgpt/base/version.h"
#include "recipes/radgpt/verbs.h"

namespace radgpt {
namespace {

constexpr int kUsageExit = static_cast<int>(ErrorKind::kUsage);
constexpr int kEnvironmentExit = static_cast<int>(ErrorKind::kEnvironment);

/// Reports are private: what is written is for the user alone, and a crash leaves no core.
void protect_files() {
  umask(077);
  const rlimit none = {0, 0};
  setrlimit(RLIMIT_CORE, &none);
}

void add_verbs(CLI::App& app) {
  add_train(app);
  add_evaluate(app);
  add_generate(app);
  add_simulate(app);
  add_prepare(app);
  add_tokens(app);
  add_merge(app);
  add_recipes(app);
  add_plan(app);
}

/// Prints the fault and gives the exit code back. LibTorch's messages end with a stack trace, of
/// which the first line is enough.
int report(const std::string& message, int exit_code) {
  std::cerr << "error: " << message << "\n";
  return exit_code;
}

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

int report_usage(const CLI::App& app, const CLI::ParseError& error) {
  if (error.get_exit_code() == 0) return app.exit(error);  // --help, --version
  const CLI::App& verb = innermost(app);
  std::string message = unknown_word(verb);
  if (message.empty()) message = first_line(error.what());
  std::string name;
  for (const CLI::App* part = &verb; part != nullptr; part = part->get_parent()) {
    name = concat(part->get_name(), " ", name);
  }
  return report(concat(message, " (see ", name, "--help)"), kUsageExit);
}

int run(int argc, char** argv) {
  CLI::App app("Fine-tunes Baichuan2 on radiology reports and scores what it has learnt.",
               "radgpt");
  app.set_version_flag("--version", std::string(version()));
  app.require_subcommand(1);
  add_verbs(app);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return report_usage(app, error);
  } catch (const Error& error) {
    return report(error.what(), error.exit_code());
  } catch (const c10::Error& error) {
    return report(first_line(error.what_without_backtrace()), kEnvironmentExit);
  } catch (const std::bad_alloc&) {
    return report("not enough memory", kEnvironmentExit);
  } catch (const std::exception& error) {
    return report(first_line(error.what()), kEnvironmentExit);
  }
  return 0;
}

}  // namespace
}  // namespace radgpt

int main(int argc, char** argv) {
  radgpt::protect_files();
  return radgpt::run(argc, argv);
}
