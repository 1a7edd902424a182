// A stream of messages that knows when it has ended.
#pragma once

#include <capnp/serialize-async.h>

namespace shipmate {

// The RPC system fails the calls of a lost connection first, and says only later that it is lost. Who makes a
// new one because a call has failed must see it at once.
class WatchedStream final : public capnp::MessageStream {
 public:
  explicit WatchedStream(kj::Own<kj::AsyncIoStream> stream) : stream_(kj::mv(stream)), messages_(*stream_) {}

  bool isEnded() const { return isEnded_; }

  kj::Promise<kj::Maybe<capnp::MessageReaderAndFds>> tryReadMessage(
      kj::ArrayPtr<kj::AutoCloseFd> fdSpace, capnp::ReaderOptions options,
      kj::ArrayPtr<capnp::word> scratch) override {
    using Read = kj::Maybe<capnp::MessageReaderAndFds>;
    return watch(kj::evalNow([&]() { return messages_.tryReadMessage(fdSpace, options, scratch); }))
        .then([this](Read read) {
          if (read == nullptr) isEnded_ = true;
          return read;
        });
  }

  kj::Promise<void> writeMessage(kj::ArrayPtr<const int> fds,
                                 kj::ArrayPtr<const kj::ArrayPtr<const capnp::word>> segments) override {
    return watch(kj::evalNow([&]() { return messages_.writeMessage(fds, segments); }));
  }

  kj::Promise<void> writeMessages(
      kj::ArrayPtr<kj::ArrayPtr<const kj::ArrayPtr<const capnp::word>>> messages) override {
    return watch(kj::evalNow([&]() { return messages_.writeMessages(messages); }));
  }

  kj::Maybe<int> getSendBufferSize() override { return messages_.getSendBufferSize(); }

  kj::Promise<void> end() override {
    isEnded_ = true;
    return messages_.end();
  }

 private:
  template <typename T>
  kj::Promise<T> watch(kj::Promise<T> promise) {
    return promise.catch_([this](kj::Exception&& exception) -> kj::Promise<T> {
      isEnded_ = true;
      return kj::mv(exception);
    });
  }

  kj::Own<kj::AsyncIoStream> stream_;
  capnp::AsyncIoMessageStream messages_;
  bool isEnded_ = false;
};

}  // namespace shipmate
