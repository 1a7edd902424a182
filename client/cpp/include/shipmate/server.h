// Servers: objects of yours for clients in any language.
#pragma once

#include <capnp/rpc-twoparty.h>
#include <shipmate/address.h>
#include <shipmate/loop.h>

#include <string_view>

namespace shipmate {

// Serves until it is gone. It takes the file of a Unix socket with it.
class Server {
 public:
  Server(Address address, kj::Own<kj::ConnectionReceiver> sockets, capnp::Capability::Client service);

  // With the port that the system chose.
  const Address& address() const { return address_; }

  // Kept never; it fails when no more clients can be accepted.
  kj::Promise<void> run();

 private:
  Address address_;
  kj::Own<kj::ConnectionReceiver> sockets_;
  kj::Own<capnp::TwoPartyServer> server_;
  kj::ForkedPromise<void> running_;
};

// Serves `service` to every client, at a `tcp:` or `unix:` address: `serve(loop, address, kj::heap<Ship>())`.
kj::Promise<Server> serve(Loop& loop, std::string_view address, capnp::Capability::Client service);

}  // namespace shipmate
