#include "shipmate/messages.h"

#include <capnp/serialize-async.h>
#include <capnp/serialize.h>

#include "sockets.h"

namespace shipmate {
namespace {

// The most that either side accepts.
constexpr capnp::ReaderOptions OPTIONS;

}  // namespace

kj::Promise<void> Sender::send(capnp::MessageBuilder& message) {
  if (capnp::computeSerializedSizeInWords(message) > OPTIONS.traversalLimitInWords) {
    return local::error(local::PROTOCOL, "a message may have at most ",
                        OPTIONS.traversalLimitInWords * sizeof(capnp::word), " bytes: split it");
  }
  // A peer that is gone shows at once, or later.
  return kj::evalNow([&]() { return capnp::writeMessage(*stream_, message); });
}

void Sender::close() { stream_->shutdownWrite(); }

kj::Promise<Message> Receiver::receive() {
  return capnp::tryReadMessage(*stream_, OPTIONS)
      .then(
          [](kj::Maybe<kj::Own<capnp::MessageReader>> received) -> kj::Promise<Message> {
            KJ_IF_MAYBE (reader, received) {
              // The library takes 2^32 segments for none.
              if ((*reader)->getSegment(0).size() == 0)
                return local::error(local::PROTOCOL, "what was sent is no message: it has no segments");
              return Message(kj::mv(*reader));
            }
            return Message();
          },
          [](kj::Exception&& exception) -> kj::Promise<Message> {
            if (exception.getType() == kj::Exception::Type::DISCONNECTED) return kj::mv(exception);
            return local::error(local::PROTOCOL, "what was sent is no message: ", exception.getDescription());
          });
}

kj::Promise<Receiver> Receivers::accept() {
  return sockets_->accept().then([](kj::Own<kj::AsyncIoStream> stream) { return Receiver(kj::mv(stream)); });
}

kj::Promise<Sender> sendTo(Loop& loop, std::string_view address, Duration timeout) {
  return withAddress(address, [&](const Address& parsed) -> kj::Promise<Sender> {
    if (parsed.transport == "pipe") {
      return local::error(local::ADDRESS, "'", parsed.str().c_str(),
                          "': messages to a named pipe are sent by `shipmate send` or by libshipmate");
    }
    return connectSocket(loop, parsed, timeout).then([](kj::Own<kj::AsyncIoStream> stream) {
      return Sender(kj::mv(stream));
    });
  });
}

kj::Promise<Receivers> receiveAt(Loop& loop, std::string_view address) {
  return withAddress(address, [&](const Address& parsed) {
    return listenAt(loop, parsed).then([](Listening listening) {
      return Receivers(kj::mv(listening.address), kj::mv(listening.sockets));
    });
  });
}

}  // namespace shipmate
