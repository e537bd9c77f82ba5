#include "libradgpt/distributed/network_address.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <memory>
#include <thread>
#include <vector>

#include "libradgpt/base/error.h"

namespace radgpt {

namespace {

using Clock = std::chrono::steady_clock;
using AddressList = std::unique_ptr<addrinfo, decltype(&freeaddrinfo)>;

/// A socket address with room for either family.
struct SocketAddress {
  sockaddr_storage storage = {};
  socklen_t length = sizeof(sockaddr_storage);

  sockaddr* get() { return reinterpret_cast<sockaddr*>(&storage); }
};

std::string numeric(const sockaddr* address, socklen_t length) {
  char text[NI_MAXHOST] = {};
  const int error = getnameinfo(address, length, text, sizeof text, nullptr, 0, NI_NUMERICHOST);
  return error == 0 ? text : "";
}

std::string numeric(const sockaddr* address) {
  const bool is_ipv4 = address->sa_family == AF_INET;
  return numeric(address, is_ipv4 ? sizeof(sockaddr_in) : sizeof(sockaddr_in6));
}

int look_up(const std::string& host, const std::string& port, int flags, AddressList& found) {
  addrinfo hints = {};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = flags;
  addrinfo* list = nullptr;
  const int error = getaddrinfo(host.c_str(), port.empty() ? nullptr : port.c_str(), &hints, &list);
  found.reset(list);
  return error;
}

AddressList parse_address(const std::string& address, const std::string& port) {
  AddressList found(nullptr, freeaddrinfo);
  const int error = look_up(address, port, AI_NUMERICHOST | AI_NUMERICSERV, found);
  if (error != 0) {
    fail(ErrorKind::kEnvironment, address, ": cannot be used: ", gai_strerror(error));
  }
  return found;
}

struct Interface {
  std::string name;
  std::string address;
  bool is_ipv4 = false;
};

std::vector<Interface> list_interfaces() {
  ifaddrs* list = nullptr;
  if (getifaddrs(&list) != 0) {
    fail(ErrorKind::kEnvironment, "network interfaces cannot be listed: ", std::strerror(errno));
  }
  const std::unique_ptr<ifaddrs, decltype(&freeifaddrs)> owner(list, freeifaddrs);
  std::vector<Interface> found;
  for (const ifaddrs* at = list; at != nullptr; at = at->ifa_next) {
    const int family = at->ifa_addr == nullptr ? AF_UNSPEC : at->ifa_addr->sa_family;
    if (family != AF_INET && family != AF_INET6) continue;
    found.push_back({at->ifa_name, numeric(at->ifa_addr), family == AF_INET});
  }
  return found;
}

}  // namespace

std::string resolve_host(const std::string& host, double seconds) {
  const auto deadline = Clock::now() + std::chrono::duration<double>(seconds);
  AddressList found(nullptr, freeaddrinfo);
  int error = look_up(host, "", 0, found);
  while (error != 0 && Clock::now() < deadline) {
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
    error = look_up(host, "", 0, found);
  }
  if (error != 0) {
    fail(ErrorKind::kPeer, host, ": must be a host that can be found, got ", gai_strerror(error),
         " for ", seconds, " s");
  }
  return numeric(found->ai_addr, found->ai_addrlen);
}

std::string interface_address(const std::string& interface) {
  std::string known, address;
  for (const Interface& one : list_interfaces()) {
    known += concat(known.empty() ? "" : ", ", one.name, " ", one.address);
    if (one.address == interface) return one.address;
    if (interface == one.name && (address.empty() || one.is_ipv4)) address = one.address;
  }
  require(!address.empty(), "distributed.interface: must be an interface of this machine (", known,
          "), got ", interface);
  return address;
}

std::string interface_name(const std::string& address) {
  for (const Interface& one : list_interfaces()) {
    if (one.address == address) return one.name;
  }
  fail(ErrorKind::kEnvironment, address, ": must be an address of this machine");
}

std::string route_source(const std::string& address) {
  const AddressList to = parse_address(address, "9");  // any port: a datagram socket only looks up
  const FileDescriptor socket(::socket(to->ai_family, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  SocketAddress own;
  if (socket.get() < 0 || connect(socket.get(), to->ai_addr, to->ai_addrlen) != 0 ||
      getsockname(socket.get(), own.get(), &own.length) != 0) {
    fail(ErrorKind::kEnvironment, address, ": no network leads there: ", std::strerror(errno));
  }
  return numeric(own.get(), own.length);
}

FileDescriptor listen_at(const std::string& address, uint16_t port) {
  const AddressList at = parse_address(address, std::to_string(port));
  FileDescriptor socket(::socket(at->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const int yes = 1;  // the last run's connections may linger for a minute
  if (socket.get() < 0 ||
      setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes) != 0 ||
      bind(socket.get(), at->ai_addr, at->ai_addrlen) != 0 || listen(socket.get(), 4096) != 0) {
    fail(ErrorKind::kEnvironment, address, " port ", port,
         ": must be free to be listened at: ", std::strerror(errno));
  }
  return socket;
}

uint16_t port_of(const FileDescriptor& socket) {
  SocketAddress own;
  if (getsockname(socket.get(), own.get(), &own.length) != 0) {
    fail(ErrorKind::kEnvironment, "a listening socket has no port: ", std::strerror(errno));
  }
  const bool is_ipv4 = own.storage.ss_family == AF_INET;
  return ntohs(is_ipv4 ? reinterpret_cast<const sockaddr_in&>(own.storage).sin_port
                       : reinterpret_cast<const sockaddr_in6&>(own.storage).sin6_port);
}

}  // namespace radgpt
