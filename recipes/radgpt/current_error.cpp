#include "recipes/radgpt/current_error.h"

#include <c10/util/Exception.h>

#include <new>

namespace radgpt {

namespace {

Error environment_error(const std::string& message) {
  return Error(ErrorKind::kEnvironment, message.substr(0, message.find('\n')));
}

}  // namespace

Error current_error() {
  try {
    throw;
  } catch (const Error& error) {
    return error;
  } catch (const c10::Error& error) {
    return environment_error(error.what_without_backtrace());
  } catch (const std::bad_alloc&) {
    return environment_error("not enough memory");
  } catch (const std::exception& error) {
    return environment_error(error.what());
  }
}

}  // namespace radgpt
