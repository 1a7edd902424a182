#include "shipmate/server.h"

#include "sockets.h"

namespace shipmate {

Server::Server(Address address, kj::Own<kj::ConnectionReceiver> sockets, capnp::Capability::Client service)
    : address_(kj::mv(address)),
      sockets_(kj::mv(sockets)),
      server_(kj::heap<capnp::TwoPartyServer>(kj::mv(service))),
      running_(server_->listen(*sockets_).eagerlyEvaluate(nullptr).fork()) {}

kj::Promise<void> Server::run() { return running_.addBranch(); }

kj::Promise<Server> serve(Loop& loop, std::string_view address, capnp::Capability::Client service) {
  return withAddress(address, [&](const Address& parsed) {
    return listenAt(loop, parsed).then([service](Listening listening) mutable {
      return Server(kj::mv(listening.address), kj::mv(listening.sockets), kj::mv(service));
    });
  });
}

}  // namespace shipmate
