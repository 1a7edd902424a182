// Connections: how they are made, how they end, and what calls see of it.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <kj/vector.h>
#include <shipmate/client.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <filesystem>
#include <random>
#include <thread>

#include "conformance.capnp.h"
#include "process.h"

using conformance::Conformance;
using namespace shipmate;
using namespace std::chrono_literals;

namespace {

// For what must not hang.
constexpr Duration LIMIT = 60s;

kj::Promise<std::string> echo(Conformance::Client service, const char* text) {
  auto request = service.textRequest();
  request.setValue(text);
  return request.send().then([](auto response) { return std::string(response.getValue().cStr()); });
}

kj::Promise<void> hang(Conformance::Client service) { return service.hangRequest().send().ignoreResult(); }

void untilWaiting(Loop& loop, Conformance::Client service, uint32_t count) {
  while (loop.wait(service.hangingRequest().send(), LIMIT).getWaiting() != count) loop.wait(loop.sleep(2ms));
}

size_t entries(const char* path) {
  auto folder = std::filesystem::directory_iterator(path);
  return std::distance(begin(folder), end(folder));
}

int listenAtPath(const std::string& path) {
  int listening = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_un place{AF_UNIX, {}};
  path.copy(place.sun_path, path.size());
  EXPECT_EQ(bind(listening, reinterpret_cast<sockaddr*>(&place), sizeof(place)), 0);
  EXPECT_EQ(listen(listening, 1), 0);
  return listening;
}

class OverTcpAndUnix : public testing::TestWithParam<const char*> {
 protected:
  std::string place() {
    return GetParam() == std::string("tcp") ? "tcp:127.0.0.1:0" : "unix:" + (folder / "ship.sock");
  }

  TemporaryFolder folder;
  Shipmated server{{place() + "=conformance"}};
  std::string address = server.addresses[0];
  Loop loop;
};
INSTANTIATE_TEST_SUITE_P(Connection, OverTcpAndUnix, testing::Values("tcp", "unix"),
                         [](auto& info) { return info.param; });

}  // namespace

TEST_P(OverTcpAndUnix, CallsAndItsEnd) {
  auto connection = loop.wait(connect(loop, address));
  auto service = connection.bootstrap<Conformance>();
  EXPECT_EQ(loop.wait(echo(service, "ahoy")), "ahoy");
  EXPECT_TRUE(connection.isOpen());

  auto inFlight = hang(service);
  untilWaiting(loop, service, 1);
  connection.close();
  EXPECT_FALSE(connection.isOpen());
  EXPECT_THROW(loop.wait(kj::mv(inFlight), LIMIT), Disconnected);
  EXPECT_THROW(loop.wait(echo(service, "ahoy"), LIMIT), Disconnected);
  EXPECT_THROW(loop.wait(echo(connection.bootstrap<Conformance>(), "ahoy"), LIMIT), Disconnected);
  loop.wait(connection.closed(), LIMIT);
}

TEST_P(OverTcpAndUnix, TheLastCopyEndsIt) {
  kj::Maybe<Connection> connection = loop.wait(connect(loop, address));
  kj::Maybe<Connection> copy = connection;
  auto service = KJ_ASSERT_NONNULL(connection).bootstrap<Conformance>();
  connection = nullptr;
  EXPECT_EQ(loop.wait(echo(service, "ahoy")), "ahoy");
  auto inFlight = hang(service);
  copy = nullptr;
  EXPECT_THROW(loop.wait(kj::mv(inFlight), LIMIT), Disconnected);
}

TEST_P(OverTcpAndUnix, CallsInFlightWhenTheServerDies) {
  auto connection = loop.wait(connect(loop, address));
  auto service = connection.bootstrap<Conformance>();
  kj::Vector<kj::Promise<void>> calls;
  for (int count = 0; count < 10; ++count) calls.add(hang(service));
  untilWaiting(loop, service, 10);
  server.kill();
  for (auto& call : calls) EXPECT_THROW(loop.wait(kj::mv(call), LIMIT), Disconnected);
  loop.wait(connection.closed(), LIMIT);
  EXPECT_FALSE(connection.isOpen());
}

TEST_P(OverTcpAndUnix, ADeadlineEndsTheServersWork) {
  auto connection = loop.wait(connect(loop, address));
  auto service = connection.bootstrap<Conformance>();
  try {
    loop.wait(hang(service), 50ms);
    ADD_FAILURE() << "it answered";
  } catch (const Deadline& error) {
    EXPECT_STREQ(error.what(), "no answer within 50 ms: the call was cancelled");
  }
  while (loop.wait(service.hangingRequest().send(), LIMIT).getCancelled() != 1) loop.wait(loop.sleep(2ms));
  EXPECT_EQ(loop.wait(service.hangingRequest().send(), LIMIT).getWaiting(), 0u);
}

TEST_P(OverTcpAndUnix, AnErrorKeepsItsTypeInContinuations) {
  auto connection = loop.wait(connect(loop, address));
  auto late = loop.within(hang(connection.bootstrap<Conformance>()), 10ms)
                  .then([]() { return false; },
                        [](kj::Exception&& exception) {
                          try {
                            raise(exception);
                          } catch (const Deadline&) {
                            return true;
                          }
                        });
  EXPECT_TRUE(loop.wait(kj::mv(late), LIMIT));
}

TEST_P(OverTcpAndUnix, AMethodThatIsMissingIsUnimplemented) {
  auto connection = loop.wait(connect(loop, address));
  try {
    loop.wait(connection.bootstrap<conformance::Counter>().readRequest().send(), LIMIT);
    ADD_FAILURE() << "it answered";
  } catch (const ServiceError& error) {
    EXPECT_EQ(error.kind(), ErrorKind::unimplemented);
    EXPECT_EQ(error.reason().find("remote exception"), std::string::npos);
  }
}

// More than sockets hold, in both directions at once.
TEST_P(OverTcpAndUnix, ASlowPeerLosesNothing) {
  auto connection = loop.wait(connect(loop, address));
  auto service = connection.bootstrap<Conformance>();
  kj::Vector<capnp::RemotePromise<Conformance::DataResults>> calls;
  for (int number = 0; number < 24; ++number) {
    auto request = service.dataRequest();
    memset(request.initValue(1 << 20).begin(), number, 1 << 20);
    calls.add(request.send());
  }
  for (int number = 0; number < 24; ++number) {
    auto response = loop.wait(kj::mv(calls[number]), LIMIT);
    ASSERT_EQ(response.getValue().size(), 1u << 20);
    EXPECT_EQ(response.getValue()[0], number);
    EXPECT_EQ(response.getValue()[(1 << 20) - 1], number);
  }
}

TEST_P(OverTcpAndUnix, NoDescriptorIsLeftBehind) {
  auto once = [&]() {
    kj::Promise<void> inFlight = nullptr;
    {
      auto connection = loop.wait(connect(loop, address));
      auto service = connection.bootstrap<Conformance>();
      inFlight = hang(service);
      loop.wait(echo(service, "ahoy"));
    }
    EXPECT_THROW(loop.wait(kj::mv(inFlight), LIMIT), Disconnected);
    EXPECT_THROW(loop.wait(connect(loop, "unix:" + (folder / "nobody"))), Unreachable);
  };
  once();
  auto before = entries("/proc/self/fd");
  for (int count = 0; count < 50; ++count) once();
  EXPECT_EQ(entries("/proc/self/fd"), before);
}

TEST_P(OverTcpAndUnix, AConnectorMakesANewConnection) {
  Connector connector(loop, address, {20});
  auto first = loop.wait(connector.connection(), LIMIT);
  server.kill();
  loop.wait(first.closed(), LIMIT);

  // Two at once, while nobody listens, get the same connection.
  auto one = connector.connection();
  auto other = connector.connection();
  EXPECT_FALSE(one.poll(loop.io().waitScope));
  server.start();
  auto second = loop.wait(kj::mv(one), LIMIT);
  EXPECT_EQ(loop.wait(echo(second.bootstrap<Conformance>(), "again"), LIMIT), "again");
  loop.wait(kj::mv(other), LIMIT).close();
  EXPECT_FALSE(second.isOpen());
}

// A method's failure reaches the caller as it was given, in this process and in another.
TEST(Serving, AMethodThatFails) {
  struct Failing final : public conformance::Counter::Server {
    kj::Promise<void> add(AddContext) override { return failure(ErrorKind::overloaded, "ask again later"); }
    kj::Promise<void> read(ReadContext) override { return failure(ErrorKind::failed, "no: \"never\""); }
  };
  TemporaryFolder folder;
  Loop loop;
  conformance::Counter::Client local = kj::heap<Failing>();
  auto server = loop.wait(serve(loop, "unix:" + (folder / "s"), local));
  auto connection = loop.wait(connect(loop, server.address().str()));
  conformance::Counter::Client remote = connection.bootstrap<conformance::Counter>();
  for (auto* each : {&local, &remote}) {
    auto& counter = *each;
    try {
      loop.wait(counter.addRequest().send(), LIMIT);
      ADD_FAILURE() << "it answered";
    } catch (const ServiceError& error) {
      EXPECT_EQ(error.kind(), ErrorKind::overloaded);
      EXPECT_EQ(error.reason(), "ask again later");
    }
    try {
      loop.wait(counter.readRequest().send(), LIMIT);
      ADD_FAILURE() << "it answered";
    } catch (const ServiceError& error) {
      EXPECT_EQ(error.kind(), ErrorKind::failed);
      EXPECT_EQ(error.reason(), "no: \"never\"");
      EXPECT_STREQ(error.what(), "the service answered: failed: no: \"never\"");
    }
  }
}

TEST(Connecting, NobodyAnswers) {
  TemporaryFolder folder;
  Loop loop;
  EXPECT_THROW(loop.wait(connect(loop, "unix:" + (folder / "nobody")), LIMIT), Unreachable);
  EXPECT_THROW(loop.wait(connect(loop, "unix:@" + (folder / "nobody")), LIMIT), Unreachable);
  EXPECT_THROW(loop.wait(connect(loop, "tcp:no-such-host.invalid:1"), LIMIT), Unreachable);
  EXPECT_THROW(loop.wait(connect(loop, "ship"), LIMIT), AddressError);

  // A port that was free a moment ago.
  auto address = loop.wait(receiveAt(loop, "tcp:127.0.0.1:0")).address().str();
  try {
    loop.wait(connect(loop, address), LIMIT);
    ADD_FAILURE() << "somebody answered";
  } catch (const Unreachable& error) {
    EXPECT_EQ(std::string(error.what()), "nobody answers at " + address + ": connect(): Connection refused");
  }
}

TEST(Connecting, AConnectorGivesUp) {
  TemporaryFolder folder;
  Loop loop;
  Connector connector(loop, "unix:" + (folder / "nobody"), {3, 1ms});
  EXPECT_THROW(loop.wait(connector.connection(), LIMIT), Unreachable);
  EXPECT_THROW(loop.wait(connector.connection(), LIMIT), Unreachable);
  Connector wrong(loop, "ship");
  EXPECT_THROW(loop.wait(wrong.connection(), LIMIT), AddressError);
}

// The thread that connects outlives the loop, and nothing of it is left in the end.
TEST(Connecting, ALoopThatEndsWhileTheLibraryConnects) {
  if (std::getenv("SHIPMATE_LIBRARY") == nullptr) GTEST_SKIP() << "SHIPMATE_LIBRARY is not set";
  TemporaryFolder folder;
  auto path = folder / "peer";
  int listening = listenAtPath(path);
  {
    Loop loop;
    EXPECT_THROW(loop.wait(connect(loop, "shm:" + (folder / "nobody")), LIMIT), Unreachable);
  }
  auto before = entries("/proc/self/task");
  int connected;
  {
    Loop loop;
    auto connecting = connect(loop, "shm:" + path);
    connected = accept(listening, nullptr, nullptr);
    EXPECT_FALSE(connecting.poll(loop.io().waitScope));
  }
  close(connected);
  auto end = std::chrono::steady_clock::now() + LIMIT;
  while (entries("/proc/self/task") > before && std::chrono::steady_clock::now() < end)
    std::this_thread::yield();
  EXPECT_LE(entries("/proc/self/task"), before);
  close(listening);
}

TEST(Connecting, WithoutTheLibraryItSaysHowToGetIt) {
  Process program({PROGRAMS "/arith", "shm:/tmp/nobody"}, true, "SHIPMATE_LIBRARY");
  auto printed = program.readAll();
  EXPECT_EQ(program.wait(), 1);
  EXPECT_TRUE(printed.find("libshipmate") != std::string::npos || printed.find("nobody") != std::string::npos)
      << printed;
}

namespace {

std::vector<std::string> noise() {
  std::vector<std::string> all{
      "",
      std::string(8, '\0'),
      std::string(64, '\xff'),
      "HTTP/1.1 400 Bad Request\r\n\r\n",
      // Announces 32 GiB.
      std::string("\0\0\0\0\xff\xff\xff\xff", 8),
      // A segment of two words, of which one comes.
      std::string("\0\0\0\0\2\0\0\0", 8) + std::string(8, '\0'),
      // A root pointer that points outside.
      std::string("\0\0\0\0\1\0\0\0\xfc\xff\xff\x7f\1\0\1\0", 16),
  };
  std::mt19937 random;
  for (int length = 5; length < 90; length += 8) {
    std::string bytes;
    for (int count = 0; count < length; ++count) bytes += char(random());
    all.push_back(bytes);
  }
  return all;
}

// A peer that answers the first bytes with these, and then closes, or stays until we do.
void answer(int listening, const std::string& bytes, bool stays) {
  int connected = accept(listening, nullptr, nullptr);
  char buffer[4096];
  (void)!read(connected, buffer, sizeof(buffer));
  (void)!write(connected, bytes.data(), bytes.size());
  while (stays && read(connected, buffer, sizeof(buffer)) > 0) {
  }
  close(connected);
}

}  // namespace

TEST(Connecting, APeerThatBreaksTheProtocol) {
  TemporaryFolder folder;
  auto path = folder / "peer";
  int listening = listenAtPath(path);
  Loop loop;
  for (bool stays : {false, true}) {
    for (auto& bytes : noise()) {
      std::thread peer(answer, listening, bytes, stays);
      {
        auto connection = loop.wait(connect(loop, "unix:" + path));
        auto call = connection.bootstrap<Conformance>().extremesRequest().send();
        try {
          // Half a message may always be followed by the other half.
          loop.wait(kj::mv(call), stays ? Duration(200ms) : LIMIT);
          ADD_FAILURE() << "it answered";
        } catch (const Disconnected&) {
        } catch (const Deadline&) {
          EXPECT_TRUE(stays);
        }
      }
      peer.join();
    }
  }
  close(listening);
}
