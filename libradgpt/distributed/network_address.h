#pragma once

#include <cstdint>
#include <string>

#include "libradgpt/base/files.h"

namespace radgpt {

/// The numeric address of a host. A name that is not known may become known (in a cluster, when its
/// machine is up), so it is asked for again until `seconds` have passed: then Error(kPeer).
std::string resolve_host(const std::string& host, double seconds);

/// The numeric address of a network interface of this machine: by its name (eth0; its IPv4 address
/// before an IPv6 one) or by an address it has. Throws Error(kInput) listing those there are.
std::string interface_address(const std::string& interface);

/// The name of the interface of this machine that has a numeric address.
std::string interface_name(const std::string& address);

/// The numeric address of this machine from which `address` is reached. Sends nothing. Throws
/// Error(kEnvironment) where no network leads there.
std::string route_source(const std::string& address);

/// A socket that listens at a numeric address of this machine, port 0: a free one. Throws
/// Error(kEnvironment), for a port in use among others.
FileDescriptor listen_at(const std::string& address, uint16_t port);

/// The port of a socket.
uint16_t port_of(const FileDescriptor& socket);

}  // namespace radgpt
