#include "sockets.h"

#include <sys/stat.h>
#include <unistd.h>

#include "native.h"

namespace shipmate {
namespace {

kj::Promise<kj::Own<kj::NetworkAddress>> resolve(Loop& loop, const Address& address) {
  auto& network = loop.io().provider->getNetwork();
  if (address.transport == "tcp") return network.parseAddress(address.place.c_str(), address.port);
  if (address.place.front() == '@')
    return network.parseAddress(kj::str("unix-abstract:", address.place.c_str() + 1));
  return network.parseAddress(kj::str("unix:", address.place.c_str()));
}

kj::Promise<kj::Own<kj::AsyncIoStream>> connectNow(Loop& loop, const Address& address) {
  return kj::evalNow([&]() { return resolve(loop, address); }).then([](kj::Own<kj::NetworkAddress> resolved) {
    auto connecting = resolved->connect();
    return connecting.attach(kj::mv(resolved));
  });
}

// Removes the file of a socket that nobody listens at any more.
kj::Promise<void> removeStale(Loop& loop, const Address& address) {
  if (address.transport != "unix" || address.place.front() == '@') return kj::READY_NOW;
  struct stat file;
  if (lstat(address.place.c_str(), &file) != 0 || !S_ISSOCK(file.st_mode)) return kj::READY_NOW;
  return connectNow(loop, address)
      .then([](auto) {}, [path = address.place](kj::Exception&&) { unlink(path.c_str()); });
}

// Only for the user whose server it is.
kj::Own<kj::ConnectionReceiver> asFile(kj::Own<kj::ConnectionReceiver> sockets, const std::string& path) {
  chmod(path.c_str(), 0600);
  return sockets.attach(kj::defer([path]() { unlink(path.c_str()); }));
}

}  // namespace

kj::Promise<kj::Own<kj::AsyncIoStream>> connectSocket(Loop& loop, const Address& address, Duration timeout) {
  if (address.transport != "tcp" && address.transport != "unix") {
    return kj::evalNow([&]() { return connectNative(loop, address, timeout); });
  }
  return loop.within(connectNow(loop, address), timeout)
      .catch_([address](kj::Exception&& exception) -> kj::Promise<kj::Own<kj::AsyncIoStream>> {
        auto why =
            local::is(local::DEADLINE, exception) ? "it takes too long"_kj : exception.getDescription();
        return local::error(local::UNREACHABLE, "nobody answers at ", address.str().c_str(), ": ", why);
      });
}

kj::Promise<Listening> listenAt(Loop& loop, const Address& address) {
  if (address.transport != "tcp" && address.transport != "unix") {
    return local::error(local::ADDRESS, "'", address.str().c_str(),
                        "': only tcp: and unix: can be listened at from here");
  }
  return removeStale(loop, address)
      .then([&loop, address]() { return resolve(loop, address); })
      .then([address = Address(address)](kj::Own<kj::NetworkAddress> resolved) mutable {
        auto sockets = resolved->listen();
        if (address.transport == "tcp") {
          address.port = sockets->getPort();
        } else if (address.place.front() != '@') {
          sockets = asFile(kj::mv(sockets), address.place);
        }
        return Listening{kj::mv(address), kj::mv(sockets)};
      })
      .catch_([address](kj::Exception&& exception) -> kj::Promise<Listening> {
        return local::error(local::ADDRESS, "cannot listen at ", address.str().c_str(), ": ",
                            exception.getDescription());
      });
}

}  // namespace shipmate
