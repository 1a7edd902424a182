// Connections for calls, and what makes new ones when they are lost.
#pragma once

#include <capnp/capability.h>
#include <shipmate/address.h>
#include <shipmate/loop.h>

#include <memory>
#include <string_view>

namespace shipmate {

// A connection to a server. Copies are the same connection. It ends when the last of them is gone; calls in
// flight then get Disconnected.
class Connection {
 public:
  // The connection's first capability. May be used at once; that it is of another type shows in calls, as
  // ServiceError with the kind `unimplemented`.
  template <typename Interface>
  typename Interface::Client bootstrap() {
    return untypedBootstrap().castAs<Interface>();
  }

  capnp::Capability::Client untypedBootstrap();

  bool isOpen() const;

  // Kept when the connection is gone.
  kj::Promise<void> closed();

  // Ends it now. Calls in flight, and later ones, get Disconnected.
  void close();

 private:
  class State;
  friend kj::Promise<Connection> connect(Loop&, std::string_view, Duration);

  explicit Connection(std::shared_ptr<State> state) : state_(std::move(state)) {}

  std::shared_ptr<State> state_;
};

// Connects to a server, within `timeout`. The errors are AddressError and Unreachable.
kj::Promise<Connection> connect(Loop& loop, std::string_view address,
                                Duration timeout = std::chrono::seconds(10));

// How often, and after which pauses, a connection is tried. A pause is drawn from the upper half of its
// length, so that the clients of a server that comes back do not all come at once.
struct Backoff {
  unsigned attempts = 10;
  Duration first = std::chrono::milliseconds(50);
  Duration longest = std::chrono::seconds(5);
  double factor = 2;
};

// Gives the current connection, or a new one when that is lost. No call is ever repeated: those in flight get
// Disconnected, and only you know whether they may be made again.
class Connector {
 public:
  Connector(Loop& loop, std::string_view address, Backoff backoff = {});

  // Calls at the same time get the same connection. Fails as the last attempt did.
  kj::Promise<Connection> connection();

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace shipmate
