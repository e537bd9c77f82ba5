#pragma once

#include <unistd.h>

namespace radgpt {

/// While it lives, a process of root has the rights of an ordinary user, so that file modes count.
class WithoutPrivileges {
 public:
  WithoutPrivileges() : user_(geteuid()) {
    constexpr uid_t kNobody = 65534;
    if (user_ == 0 && seteuid(kNobody) != 0) user_ = kNobody;
  }
  ~WithoutPrivileges() {
    if (user_ == 0 && seteuid(0) != 0) _exit(1);
  }
  WithoutPrivileges(const WithoutPrivileges&) = delete;
  WithoutPrivileges& operator=(const WithoutPrivileges&) = delete;

 private:
  uid_t user_;
};

}  // namespace radgpt
