// Messages without an event loop, through the C library `libshipmate`: over every address, and over shared
// memory in place. Each call waits on the thread that makes it, and throws the errors of errors.h.
//
//   shipmate::BlockingReceivers receivers("shm:/tmp/r", shipmate::Tier::trusted);
//   auto receiver = receivers.accept();
//   while (auto message = receiver.receive()) use(message.as<record::Record>());
#pragma once

#include <capnp/message.h>
#include <capnp/serialize.h>
#include <kj/vector.h>
#include <shipmate/errors.h>

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace shipmate {

// How large parts of messages go over shared memory. What a connection has is the strongest that both sides
// take; other transports copy.
enum class Tier {
  copy,     // The receiver copies once, and then looks: safe with a hostile peer.
  sealed,   // 4 MiB and more are sealed by the kernel against any change, and received in place.
  trusted,  // 32 KiB and more are received where the sender has built them: between processes of one user.
};

// How long to wait; without a value, for ever.
using Patience = std::optional<std::chrono::milliseconds>;

// A message that was received. Over shared memory its segments are what the sender has written, if the tier
// says so, and go back to it with this object: nothing that was read from it may be used afterwards.
class LentMessage {
 public:
  // None: the end of the stream.
  LentMessage() = default;

  explicit operator bool() const { return lent_ != nullptr; }

  template <typename Struct>
  typename Struct::Reader as() {
    return reader_->getRoot<Struct>();
  }

  capnp::MessageReader& reader() { return *reader_; }

  kj::ArrayPtr<const kj::ArrayPtr<const capnp::word>> segments() const { return segments_; }

 private:
  friend class BlockingReceiver;
  explicit LentMessage(const void* lent);

  struct Return {
    void operator()(const void* lent) const;
  };

  // In this order: the reader goes first.
  std::unique_ptr<const void, Return> lent_;
  kj::Array<const kj::ArrayPtr<const capnp::word>> segments_;
  std::unique_ptr<capnp::SegmentArrayMessageReader> reader_;
};

// A message to build, in memory of its sender. Over shared memory, 32 KiB and more are memory that the
// receiver sees. What does not fit goes on elsewhere, and all of it is then copied. It does not outlive its
// sender.
class LoanBuilder final : public capnp::MessageBuilder {
 public:
  ~LoanBuilder() noexcept(false);
  KJ_DISALLOW_COPY(LoanBuilder);

 private:
  friend class BlockingSender;
  LoanBuilder(void* sender, std::size_t words);

  kj::ArrayPtr<capnp::word> allocateSegment(capnp::uint minimumSize) override;

  void* loan_ = nullptr;
  kj::ArrayPtr<capnp::word> memory_;
  bool isUsed_ = false;
  kj::Vector<kj::Array<capnp::word>> others_;
};

class BlockingSender {
 public:
  // Connects to a receiver; over shared memory it waits until that accepts. At a `pipe:` address it waits
  // until there is one, for no longer than that.
  explicit BlockingSender(std::string_view address, Tier tier = Tier::copy,
                          std::chrono::milliseconds timeout = std::chrono::seconds(10));

  // Memory for a message of so many words: as many as it needs, or somewhat more.
  std::unique_ptr<LoanBuilder> build(std::size_t words);

  // Sends what was built. A slow receiver makes it wait. After a ProtocolError, for what is too large, the
  // sender goes on.
  void send(std::unique_ptr<LoanBuilder> message);

  // Sends a message from your own memory.
  void send(capnp::MessageBuilder& message);

  // Ends the stream: the receiver gets all that was sent, and then the end. Going out of scope does so too,
  // and says nothing of what went wrong.
  void close();

 private:
  struct Close {
    void operator()(void* sender) const;
  };

  std::unique_ptr<void, Close> sender_;
};

// The messages of one sender.
class BlockingReceiver {
 public:
  // The next message, or an empty one at the end of the stream. Nothing is lost by a Deadline.
  LentMessage receive(Patience patience = {});

 private:
  friend class BlockingReceivers;
  struct Close {
    void operator()(void* receiver) const;
  };
  explicit BlockingReceiver(void* receiver) : receiver_(receiver) {}

  std::unique_ptr<void, Close> receiver_;
};

// Waits for senders at an address.
class BlockingReceivers {
 public:
  explicit BlockingReceivers(std::string_view address, Tier tier = Tier::copy);

  // With the port that the system chose.
  std::string address() const;

  // The next sender's messages. At a `pipe:` address this does not wait: the first message does.
  BlockingReceiver accept(Patience patience = {});

 private:
  struct Close {
    void operator()(void* listener) const;
  };

  std::unique_ptr<void, Close> listener_;
};

}  // namespace shipmate
