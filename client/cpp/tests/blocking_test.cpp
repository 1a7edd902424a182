// Messages through the C library: over every address, and in shared memory.
#include <gtest/gtest.h>
#include <shipmate/client.h>

#include <cstdlib>
#include <fstream>
#include <future>
#include <set>
#include <sstream>
#include <thread>

#include "process.h"
#include "record.capnp.h"

using record::Record;
using namespace shipmate;
using namespace std::chrono_literals;

namespace {

constexpr auto LIMIT = 60s;
constexpr size_t LARGE = 800'000;

class Blocking : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    if (std::getenv("SHIPMATE_LIBRARY") == nullptr) GTEST_SKIP() << "SHIPMATE_LIBRARY is not set";
  }

  std::string place(const std::string& kind) {
    return kind == "tcp" ? "tcp:127.0.0.1:0" : kind + ":" + (folder / "r");
  }

  TemporaryFolder folder;
};
INSTANTIATE_TEST_SUITE_P(Over, Blocking, testing::Values("tcp", "unix", "pipe", "shm", "auto"),
                         [](auto& info) { return info.param; });

class InPlace : public Blocking {};
INSTANTIATE_TEST_SUITE_P(Over, InPlace, testing::Values("shm"), [](auto& info) { return info.param; });

// A sender and its receiver, over shared memory.
struct Pair {
  Pair(const std::string& place, Tier receives, Tier sends)
      : receivers(place, receives),
        // It shakes hands with what is accepted.
        connecting(std::async(std::launch::async, [=]() { return BlockingSender(place, sends); })),
        receiver(receivers.accept(LIMIT)),
        sender(connecting.get()) {}

  BlockingReceivers receivers;
  std::future<BlockingSender> connecting;
  BlockingReceiver receiver;
  BlockingSender sender;
};

void fill(Record::Builder record, std::int64_t value, size_t bytes) {
  record.setValue(value);
  auto data = record.getBody().initBytes(bytes);
  std::fill(data.begin(), data.end(), kj::byte(value));
}

bool isFilled(Record::Reader record, std::int64_t value) {
  auto data = record.getBody().getBytes();
  auto is = [&](kj::byte byte) { return byte == kj::byte(value); };
  return record.getValue() == value && std::all_of(data.begin(), data.end(), is);
}

// "memfd" and the rights of its mapping, or "private".
std::string kindOf(kj::ArrayPtr<const kj::byte> bytes) {
  std::ifstream maps("/proc/self/maps");
  auto first = reinterpret_cast<std::uintptr_t>(bytes.begin());
  for (std::string line; std::getline(maps, line);) {
    std::uintptr_t start, end;
    char dash;
    std::string rights;
    std::istringstream(line) >> std::hex >> start >> dash >> end >> rights;
    if (first < start || first >= end) continue;
    if (line.find("/memfd:") == std::string::npos) return "private";
    EXPECT_LE(first + bytes.size(), end);
    return "memfd " + rights;
  }
  return "nowhere";
}

}  // namespace

TEST_P(Blocking, ThereAndBack) {
  BlockingReceivers receivers(place(GetParam()));
  std::thread sending([&]() {
    BlockingSender sender(receivers.address());
    capnp::MallocMessageBuilder own;
    fill(own.initRoot<Record>(), 0, 100);
    sender.send(own);
    // One that fits, and one that does not.
    for (auto words : {LARGE / 8 + 100, size_t(0)}) {
      auto message = sender.build(words);
      fill(message->initRoot<Record>(), 1, LARGE);
      sender.send(std::move(message));
    }
    sender.build(10'000);
    sender.close();
  });
  auto receiver = receivers.accept(LIMIT);
  for (auto value : {0, 1, 1}) {
    auto message = receiver.receive(LIMIT);
    ASSERT_TRUE(message);
    EXPECT_TRUE(isFilled(message.as<Record>(), value));
  }
  EXPECT_FALSE(receiver.receive(LIMIT));
  EXPECT_FALSE(receiver.receive(LIMIT));
  sending.join();
}

TEST_P(InPlace, WhereTheTierSays) {
  struct {
    Tier receives, sends;
    size_t bytes;
    const char* kind;
  } cases[] = {
      {Tier::trusted, Tier::trusted, LARGE, "memfd r--s"},
      {Tier::sealed, Tier::trusted, 5'000'000, "memfd r--p"},
      {Tier::copy, Tier::trusted, LARGE, "private"},
  };
  for (auto& each : cases) {
    Pair pair(place("shm"), each.receives, each.sends);
    for (int value = 0; value < 5; ++value) {
      auto message = pair.sender.build(each.bytes / 8 + 100);
      auto record = message->initRoot<Record>();
      fill(record, value, each.bytes);
      EXPECT_EQ(kindOf(record.getBody().getBytes()), "memfd rw-s");
      pair.sender.send(std::move(message));
      auto received = pair.receiver.receive(LIMIT);
      EXPECT_TRUE(isFilled(received.as<Record>(), value));
      EXPECT_EQ(kindOf(received.as<Record>().getBody().getBytes()), each.kind);
      EXPECT_EQ(received.segments().size(), 1u);
    }
  }
}

// (A blob that is idle for long, on a machine that is busy, may be replaced.)
TEST_P(InPlace, WhatGoesBackIsUsedAgain) {
  Pair pair(place("shm"), Tier::trusted, Tier::trusted);
  std::set<const capnp::word*> places;
  for (int value = 0; value < 40; ++value) {
    auto message = pair.sender.build(LARGE / 8 + 100);
    fill(message->initRoot<Record>(), value, LARGE);
    pair.sender.send(std::move(message));
    places.insert(pair.receiver.receive(LIMIT).segments()[0].begin());
  }
  EXPECT_LT(places.size(), 10u);
}

TEST_P(InPlace, WhatIsHeldStaysAsItWas) {
  std::vector<LentMessage> held;
  {
    Pair pair(place("shm"), Tier::trusted, Tier::trusted);
    for (int value = 0; value < 4; ++value) {
      auto message = pair.sender.build(LARGE / 8 + 100);
      fill(message->initRoot<Record>(), value, LARGE);
      pair.sender.send(std::move(message));
      held.push_back(pair.receiver.receive(LIMIT));
    }
  }
  for (int value = 0; value < 4; ++value) EXPECT_TRUE(isFilled(held[value].as<Record>(), value));
}

TEST_P(InPlace, Errors) {
  EXPECT_THROW(BlockingSender("nonsense"), AddressError);
  EXPECT_THROW(BlockingSender{place("shm")}, Unreachable);
  Pair pair(place("shm"), Tier::trusted, Tier::trusted);
  auto& sender = pair.sender;
  EXPECT_THROW(BlockingReceivers(place("shm")), AddressError);
  EXPECT_THROW(pair.receivers.accept(1ms), Deadline);
  EXPECT_THROW(sender.build(size_t(1) << 32), ProtocolError);
  {
    auto receiver = std::move(pair.receiver);
    EXPECT_THROW(receiver.receive(1ms), Deadline);
    capnp::MallocMessageBuilder message;
    fill(message.initRoot<Record>(), 7, 10);
    sender.send(message);
    EXPECT_TRUE(isFilled(receiver.receive(LIMIT).as<Record>(), 7));
  }
  auto forEver = [&]() {
    while (true) {
      auto message = sender.build(LARGE / 8);
      message->initRoot<Record>();
      sender.send(std::move(message));
    }
  };
  EXPECT_THROW(forEver(), Disconnected);
}
