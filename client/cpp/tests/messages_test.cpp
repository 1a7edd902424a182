// Messages that go one way, with the `shipmate` command at the other end too.
#include <capnp/serialize.h>
#include <gtest/gtest.h>
#include <kj/io.h>
#include <shipmate/client.h>

#include "process.h"
#include "record.capnp.h"

using record::Record;
using namespace shipmate;
using namespace std::chrono_literals;

namespace {

constexpr Duration LIMIT = 60s;

class Messages : public testing::TestWithParam<const char*> {
 protected:
  std::string place() {
    auto kind = std::string(GetParam());
    return kind == "tcp" ? "tcp:127.0.0.1:0" : (kind == "unix" ? "unix:" : "unix:@") + (folder / "r");
  }

  void build(capnp::MallocMessageBuilder& message, const char* name, size_t bytes = 0) {
    auto record = message.initRoot<Record>();
    record.setName(name);
    record.setValue(-42);
    record.getBody().initBytes(bytes);
  }

  TemporaryFolder folder;
  Loop loop;
};
INSTANTIATE_TEST_SUITE_P(Over, Messages, testing::Values("tcp", "unix", "abstract"),
                         [](auto& info) { return info.param; });

}  // namespace

TEST_P(Messages, ThereAndBack) {
  auto receivers = loop.wait(receiveAt(loop, place()));
  auto sender = loop.wait(sendTo(loop, receivers.address().str()));
  auto receiver = loop.wait(receivers.accept(), LIMIT);
  capnp::MallocMessageBuilder message;
  build(message, "depth", 1000);
  for (int count = 0; count < 3; ++count) loop.wait(sender.send(message), LIMIT);
  sender.close();
  for (int count = 0; count < 3; ++count) {
    auto received = loop.wait(receiver.receive(), LIMIT);
    ASSERT_TRUE(received);
    EXPECT_EQ(kj::str(received.as<Record>()), kj::str(message.getRoot<Record>()));
  }
  EXPECT_FALSE(loop.wait(receiver.receive(), LIMIT));
  EXPECT_FALSE(loop.wait(receiver.receive(), LIMIT));
}

TEST_P(Messages, ToShipmateRecv) {
  Process recv({repositoryProgram("shipmate"), "recv", place()}, true);
  auto line = recv.readLine();
  ASSERT_TRUE(line);
  auto sender = loop.wait(sendTo(loop, line->substr(line->rfind(' ') + 1)));
  capnp::MallocMessageBuilder message;
  build(message, "depth");
  loop.wait(sender.send(message), LIMIT);
  sender.close();
  auto printed = recv.readAll();
  EXPECT_NE(printed.find("depth"), std::string::npos) << printed;
  EXPECT_EQ(recv.wait(), 0);
}

TEST_P(Messages, FromShipmateSend) {
  auto receivers = loop.wait(receiveAt(loop, place()));
  Process send({repositoryProgram("shipmate"), "send", receivers.address().str()});
  send.write("{\"name\": \"depth\", \"value\": 42}\n{\"name\": \"wind\"}\n");
  send.closeInput();
  auto receiver = loop.wait(receivers.accept(), LIMIT);
  auto first = loop.wait(receiver.receive(), LIMIT);
  EXPECT_EQ(first.as<Record>().getName(), "depth"_kj);
  EXPECT_EQ(first.as<Record>().getValue(), 42);
  EXPECT_EQ(loop.wait(receiver.receive(), LIMIT).as<Record>().getName(), "wind"_kj);
  EXPECT_FALSE(loop.wait(receiver.receive(), LIMIT));
  EXPECT_EQ(send.wait(), 0);
}

// What is under way is what sockets hold, and not all that was sent.
TEST_P(Messages, ASlowReceiverHoldsTheSenderBack) {
  auto receivers = loop.wait(receiveAt(loop, place()));
  auto sender = loop.wait(sendTo(loop, receivers.address().str()));
  auto receiver = loop.wait(receivers.accept(), LIMIT);
  capnp::MallocMessageBuilder message;
  build(message, "large", 32 << 20);
  auto sending = sender.send(message);
  EXPECT_FALSE(sending.poll(loop.io().waitScope));
  auto receiving = receiver.receive();
  loop.wait(kj::mv(sending), LIMIT);
  EXPECT_EQ(loop.wait(kj::mv(receiving), LIMIT).as<Record>().getBody().getBytes().size(), 32u << 20);
}

TEST_P(Messages, AReceiverThatIsGone) {
  auto receivers = loop.wait(receiveAt(loop, place()));
  auto sender = loop.wait(sendTo(loop, receivers.address().str()));
  loop.wait(receivers.accept(), LIMIT);
  capnp::MallocMessageBuilder message;
  build(message, "large", 1 << 20);
  auto forEver = [&]() {
    while (true) loop.wait(sender.send(message), LIMIT);
  };
  EXPECT_THROW(forEver(), Disconnected);
}

TEST_P(Messages, OneThatIsTooLargeIsNotSent) {
  auto receivers = loop.wait(receiveAt(loop, place()));
  auto sender = loop.wait(sendTo(loop, receivers.address().str()));
  auto receiver = loop.wait(receivers.accept(), LIMIT);
  capnp::MallocMessageBuilder large, small;
  build(large, "large", 64 << 20);
  build(small, "small");
  EXPECT_THROW(loop.wait(sender.send(large), LIMIT), ProtocolError);
  loop.wait(sender.send(small), LIMIT);
  EXPECT_EQ(loop.wait(receiver.receive(), LIMIT).as<Record>().getName(), "small"_kj);
}

TEST_P(Messages, WhatIsNoMessage) {
  auto receivers = loop.wait(receiveAt(loop, place()));
  capnp::MallocMessageBuilder message;
  build(message, "depth");
  auto words = capnp::messageToFlatArray(message);
  auto whole = words.asBytes();
  auto receive = [&](kj::ArrayPtr<const kj::byte> bytes) {
    auto address = receivers.address();
    auto& network = loop.io().provider->getNetwork();
    auto text = address.transport == "tcp" ? address.str().substr(4)
                : address.place[0] == '@'  ? "unix-abstract:" + address.place.substr(1)
                                           : address.str();
    auto stream = loop.wait(network.parseAddress(text.c_str()).then([](auto resolved) {
      auto connecting = resolved->connect();
      return connecting.attach(kj::mv(resolved));
    }));
    auto receiver = loop.wait(receivers.accept(), LIMIT);
    loop.wait(stream->write(whole.begin(), whole.size()), LIMIT);
    loop.wait(stream->write(bytes.begin(), bytes.size()), LIMIT);
    stream = nullptr;
    EXPECT_EQ(loop.wait(receiver.receive(), LIMIT).as<Record>().getName(), "depth"_kj);
    loop.wait(receiver.receive(), LIMIT);
  };

  for (size_t length : {size_t(1), size_t(7), whole.size() - 1}) {
    EXPECT_THROW(receive(whole.slice(0, length)), Disconnected)
        << length << " of " << whole.size() << " bytes";
  }
  kj::byte ones[16], segments[] = {0, 2, 0, 0}, large[] = {0, 0, 0, 0, 0, 0, 0, 16};
  memset(ones, 0xff, sizeof(ones));
  EXPECT_THROW(receive(ones), ProtocolError);
  EXPECT_THROW(receive(kj::StringPtr("GET / HTTP/1.1\r\n\r\n").asBytes()), ProtocolError);
  EXPECT_THROW(receive(kj::arrayPtr(large, sizeof(large))), ProtocolError);
  auto tooMany = kj::heapArray<kj::byte>(8);
  memset(tooMany.begin(), 0, 8);
  memcpy(tooMany.begin(), segments, sizeof(segments));
  EXPECT_THROW(receive(tooMany), ProtocolError);
}

TEST(Receiving, AFileThatADeadServerLeftIsTakenOver) {
  TemporaryFolder folder;
  Loop loop;
  auto file = folder / "r";
  Shipmated server({"unix:" + file + "=arith"});
  EXPECT_THROW(loop.wait(receiveAt(loop, "unix:" + file)), AddressError);
  server.kill();
  EXPECT_EQ(access(file.c_str(), F_OK), 0);
  EXPECT_EQ(loop.wait(receiveAt(loop, "unix:" + file)).address().place, file);
  EXPECT_NE(access(file.c_str(), F_OK), 0);
}

TEST(Receiving, OnlyWhereSocketsAre) {
  Loop loop;
  EXPECT_THROW(loop.wait(receiveAt(loop, "shm:/tmp/r")), AddressError);
  EXPECT_THROW(loop.wait(sendTo(loop, "pipe:/tmp/r")), AddressError);
}
