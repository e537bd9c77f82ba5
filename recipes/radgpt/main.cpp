#include <c10/util/Exception.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <iostream>
#include <new>

#include "libradgpt/base/error.h"
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

int report_usage(const CLI::App& app, const CLI::ParseError& error) {
  if (error.get_exit_code() == 0) return app.exit(error);  // --help, --version
  const auto verbs = app.get_subcommands();
  const std::string verb = verbs.empty() ? "" : " " + verbs.front()->get_name();
  return report(concat(first_line(error.what()), "; see radgpt", verb, " --help"), kUsageExit);
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
