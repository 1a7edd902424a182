// Messages that go one way, in Cap'n Proto's stream framing. The other end may be `shipmate recv` or `send`.
#pragma once

#include <capnp/message.h>
#include <shipmate/address.h>
#include <shipmate/loop.h>

#include <string_view>

namespace shipmate {

// What was received. Nothing is copied out of it: it lives as long as what you read from it.
class Message {
 public:
  Message() = default;
  explicit Message(kj::Own<capnp::MessageReader> reader) : reader_(kj::mv(reader)) {}

  // False after the last message of a stream.
  explicit operator bool() const { return reader_.get() != nullptr; }

  template <typename Struct>
  typename Struct::Reader as() {
    return reader_->getRoot<Struct>();
  }

 private:
  kj::Own<capnp::MessageReader> reader_;
};

class Sender {
 public:
  explicit Sender(kj::Own<kj::AsyncIoStream> stream) : stream_(kj::mv(stream)) {}

  // Kept when the message is on its way, which a slow receiver delays. Keep the message and the sender until
  // then, and send the next one afterwards; a promise that is dropped before may leave half a message behind,
  // and then the sender is of no more use. The errors are Disconnected, and ProtocolError for a message of
  // more than 64 MiB, after which the sender goes on.
  kj::Promise<void> send(capnp::MessageBuilder& message);

  // Ends the stream: the receiver gets all that was sent, and then the end.
  void close();

 private:
  kj::Own<kj::AsyncIoStream> stream_;
};

class Receiver {
 public:
  explicit Receiver(kj::Own<kj::AsyncIoStream> stream) : stream_(kj::mv(stream)) {}

  // The next message, or an empty one at the end of the stream. A promise that is dropped before it is kept
  // may have taken half a message, and then the receiver is of no more use. The errors are ProtocolError, and
  // Disconnected for a sender that is gone in the middle of a message.
  kj::Promise<Message> receive();

 private:
  kj::Own<kj::AsyncIoStream> stream_;
};

// Waits for senders, at a `tcp:` or `unix:` address. It takes the file of a Unix socket with it.
class Receivers {
 public:
  Receivers(Address address, kj::Own<kj::ConnectionReceiver> sockets)
      : address_(std::move(address)), sockets_(kj::mv(sockets)) {}

  // With the port that the system chose.
  const Address& address() const { return address_; }

  // The next sender's messages.
  kj::Promise<Receiver> accept();

 private:
  Address address_;
  kj::Own<kj::ConnectionReceiver> sockets_;
};

// Connects to a receiver, at all but `pipe:` addresses.
kj::Promise<Sender> sendTo(Loop& loop, std::string_view address, Duration timeout = std::chrono::seconds(10));

kj::Promise<Receivers> receiveAt(Loop& loop, std::string_view address);

}  // namespace shipmate
