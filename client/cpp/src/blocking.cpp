#include "shipmate/blocking.h"

#include <algorithm>
#include <climits>
#include <utility>

#include "library.h"
#include "local.h"
#include "shipmate/address.h"

namespace shipmate {
namespace {

const library::Functions& functions() {
  try {
    return library::functions();
  } catch (const kj::Exception& exception) {
    raise(exception);
  }
}

[[noreturn]] void fail(const library::Error& error) {
  switch (error.code) {
    case library::CODE_ADDRESS:
    case library::CODE_ADDRESS_IN_USE:
      throw AddressError(error.message);
    case library::CODE_UNREACHABLE:
      throw Unreachable(error.message);
    case library::CODE_DISCONNECTED:
      throw Disconnected(error.message);
    case library::CODE_PROTOCOL:
    case library::CODE_LIMIT:
      throw ProtocolError(error.message);
    case library::CODE_DEADLINE:
      throw Deadline(error.message);
    default:
      throw Error(error.message);
  }
}

// A function of the library that can fail; what it returns.
template <typename Function, typename... Arguments>
int call(Function function, Arguments... arguments) {
  library::Error error{};
  int result = function(arguments..., &error);
  if (result < 0) fail(error);
  return result;
}

library::Options options(Tier tier, std::chrono::milliseconds timeout = {}) {
  auto millis = std::clamp<std::int64_t>(timeout.count(), 0, UINT32_MAX);
  return {sizeof(library::Options), static_cast<std::uint32_t>(millis), 0, 0,
          static_cast<std::uint32_t>(tier)};
}

int millis(Patience patience) {
  return patience ? static_cast<int>(std::clamp<std::int64_t>(patience->count(), 0, INT_MAX)) : -1;
}

kj::ArrayPtr<const capnp::word> words(const library::Segment& segment) {
  return {static_cast<const capnp::word*>(segment.data), segment.size / sizeof(capnp::word)};
}

void sendSegments(void* sender, kj::ArrayPtr<const kj::ArrayPtr<const capnp::word>> segments) {
  auto given = KJ_MAP(segment, segments) {
    return library::Segment{segment.begin(), segment.size() * sizeof(capnp::word)};
  };
  call(functions().senderSend, sender, static_cast<const library::Segment*>(given.begin()), given.size());
}

}  // namespace

LentMessage::LentMessage(const void* lent) : lent_(lent) {
  auto& message = *static_cast<const library::Message*>(lent);
  segments_ = KJ_MAP(segment, kj::arrayPtr(message.segments, message.segmentCount)) {
    return words(segment);
  };
  reader_ = std::make_unique<capnp::SegmentArrayMessageReader>(segments_);
}

void LentMessage::Return::operator()(const void* lent) const {
  library::functions().messageReturn(static_cast<const library::Message*>(lent));
}

LoanBuilder::LoanBuilder(void* sender, std::size_t words) {
  void* memory;
  call(functions().senderLoan, sender, words * sizeof(capnp::word), &loan_, &memory);
  memory_ = kj::arrayPtr(static_cast<capnp::word*>(memory), std::max<std::size_t>(words, 1));
}

LoanBuilder::~LoanBuilder() noexcept(false) { library::functions().loanCancel(loan_); }

kj::ArrayPtr<capnp::word> LoanBuilder::allocateSegment(capnp::uint minimumSize) {
  if (!isUsed_ && minimumSize <= memory_.size()) {
    isUsed_ = true;
    return memory_;
  }
  auto other = kj::heapArray<capnp::word>(std::max<std::size_t>(minimumSize, memory_.size()));
  std::fill(other.asBytes().begin(), other.asBytes().end(), kj::byte(0));
  return others_.add(kj::mv(other));
}

BlockingSender::BlockingSender(std::string_view address, Tier tier, std::chrono::milliseconds timeout) {
  void* sender;
  auto given = options(tier, std::max(timeout, std::chrono::milliseconds(1)));
  call(functions().senderOpen, std::string(address).c_str(), static_cast<const library::Options*>(&given),
       &sender);
  sender_.reset(sender);
}

std::unique_ptr<LoanBuilder> BlockingSender::build(std::size_t words) {
  return std::unique_ptr<LoanBuilder>(new LoanBuilder(sender_.get(), words));
}

void BlockingSender::send(std::unique_ptr<LoanBuilder> message) {
  auto segments = message->getSegmentsForOutput();
  if (segments.size() != 1 || segments[0].begin() != message->memory_.begin()) {
    sendSegments(sender_.get(), segments);
    return;
  }
  void* loan = std::exchange(message->loan_, nullptr);
  call(functions().loanPublish, loan, segments[0].size() * sizeof(capnp::word));
}

void BlockingSender::send(capnp::MessageBuilder& message) {
  sendSegments(sender_.get(), message.getSegmentsForOutput());
}

void BlockingSender::close() { call(functions().senderClose, sender_.release()); }

void BlockingSender::Close::operator()(void* sender) const {
  library::functions().senderClose(sender, nullptr);
}

LentMessage BlockingReceiver::receive(Patience patience) {
  const library::Message* message;
  bool isThere = call(functions().receiverReceive, receiver_.get(), millis(patience), &message) == 1;
  return isThere ? LentMessage(message) : LentMessage();
}

void BlockingReceiver::Close::operator()(void* receiver) const {
  library::functions().receiverClose(receiver);
}

BlockingReceivers::BlockingReceivers(std::string_view address, Tier tier) {
  void* listener;
  auto given = options(tier);
  auto listen = functions().receiverListen;
  call(listen, std::string(address).c_str(), static_cast<const library::Options*>(&given), &listener);
  listener_.reset(listener);
}

std::string BlockingReceivers::address() const { return functions().listenerAddress(listener_.get()); }

BlockingReceiver BlockingReceivers::accept(Patience patience) {
  void* receiver;
  call(functions().receiverAccept, listener_.get(), millis(patience), &receiver);
  return BlockingReceiver(receiver);
}

void BlockingReceivers::Close::operator()(void* listener) const {
  library::functions().listenerClose(listener);
}

}  // namespace shipmate
