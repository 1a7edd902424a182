// Connected and listening sockets for addresses.
#pragma once

#include <string_view>

#include "local.h"
#include "shipmate/address.h"
#include "shipmate/loop.h"

namespace shipmate {

// A connected socket. All errors are AddressError and Unreachable.
kj::Promise<kj::Own<kj::AsyncIoStream>> connectSocket(Loop& loop, const Address& address, Duration timeout);

struct Listening {
  // With the port that the system chose.
  Address address;
  // Takes the file of a Unix socket with it.
  kj::Own<kj::ConnectionReceiver> sockets;
};

kj::Promise<Listening> listenAt(Loop& loop, const Address& address);

// `then` of the address, or a promise that is broken by AddressError.
template <typename Then>
auto withAddress(std::string_view text, Then&& then) -> decltype(then(Address())) {
  try {
    return then(Address::parse(text));
  } catch (const AddressError& error) {
    return local::error(local::ADDRESS, error.what());
  }
}

}  // namespace shipmate
