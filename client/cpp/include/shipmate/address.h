// Address: where a peer is, and how bytes get there.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace shipmate {

// An address, written as `transport:place`: tcp:HOST:PORT, unix:/path, unix:@name, pipe:/path, shm:/path or
// auto:/path.
struct Address {
  // "tcp", "unix", "pipe", "shm" or "auto".
  std::string transport;

  // A path, `@` and the name of an abstract Unix socket, or a host (without brackets).
  std::string place;

  // Of `tcp`. To listen, 0 asks for any free port.
  std::uint16_t port = 0;

  // Throws an AddressError that shows the right form for what is none.
  static Address parse(std::string_view text);

  // The inverse of `parse`.
  std::string str() const;
};

}  // namespace shipmate
