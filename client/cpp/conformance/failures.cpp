// Calls that are given up, that fail, that are many; and a server that is killed and started again.
#include <kj/vector.h>

#include <iostream>

#include "check.h"

using namespace std::chrono_literals;

namespace conformance {
namespace {

struct Hanging {
  uint32_t waiting;
  uint32_t cancelled;
};

Hanging hanging(Test& test) {
  auto counts = test.wait(test.server.hangingRequest().send());
  return {counts.getWaiting(), counts.getCancelled()};
}

// Asks until the counts are as expected.
void untilHanging(Test& test, Hanging expected) {
  auto end = std::chrono::steady_clock::now() + CALL_MAX;
  while (true) {
    auto seen = hanging(test);
    if (seen.waiting == expected.waiting && seen.cancelled == expected.cancelled) return;
    if (seen.cancelled > expected.cancelled || std::chrono::steady_clock::now() > end) {
      equal("waiting", seen.waiting, expected.waiting);
      equal("cancelled", seen.cancelled, expected.cancelled);
    }
    test.wait(test.loop.sleep(2ms));
  }
}

// A call that has failed costs nothing but itself.
void goesOn(Test& test) {
  auto request = test.server.textRequest();
  request.setValue("still there");
  equal("the next call", test.wait(request.send()).getValue(), "still there"_kj);
}

template <typename T>
void isDisconnected(Test& test, const char* what, kj::Promise<T> call) {
  try {
    test.wait(kj::mv(call));
  } catch (const shipmate::Disconnected&) {
    return;
  }
  throw Wrong(kj::str(what, ": Disconnected was expected, and it succeeded").cStr());
}

kj::Promise<int64_t> readNewCounter(Test& test) {
  auto request = test.server.newCounterRequest();
  request.setStart(5);
  return request.send().getCounter().readRequest().send().then(
      [](auto response) { return response.getValue(); });
}

}  // namespace

void cancel(Test& test) {
  auto before = hanging(test);
  kj::Maybe<kj::Promise<void>> one = test.server.hangRequest().send().ignoreResult();
  kj::Maybe<kj::Promise<void>> other = test.server.hangRequest().send().ignoreResult();
  untilHanging(test, {before.waiting + 2, before.cancelled});
  one = nullptr;
  untilHanging(test, {before.waiting + 1, before.cancelled + 1});
  other = nullptr;
  untilHanging(test, {before.waiting, before.cancelled + 2});
}

void typedError(Test& test) {
  for (uint16_t code : {0, 1, 65535}) {
    auto request = test.server.refuseRequest();
    request.setCode(code);
    auto response = test.wait(request.send());
    equal("that it is an error", response.getOutcome().isError(), code != 0);
    if (code != 0) equal("its code", response.getOutcome().getError().getCode(), code);
  }
}

void errorKinds(Test& test) {
  auto fail = [&](conformance::ErrorKind kind, const char* reason) {
    auto request = test.server.failRequest();
    request.setKind(kind);
    request.setReason(reason);
    test.wait(request.send());
    throw Wrong(kj::str(reason, ": an error was expected, and it succeeded").cStr());
  };
  for (auto [sent, expected] :
       {std::pair(conformance::ErrorKind::FAILED, shipmate::ErrorKind::failed),
        std::pair(conformance::ErrorKind::OVERLOADED, shipmate::ErrorKind::overloaded),
        std::pair(conformance::ErrorKind::UNIMPLEMENTED, shipmate::ErrorKind::unimplemented)}) {
    auto reason = kj::str("the reason for ", shipmate::name(expected));
    try {
      fail(sent, reason.cStr());
    } catch (const shipmate::ServiceError& error) {
      equal("the kind", kj::StringPtr(shipmate::name(error.kind())), kj::StringPtr(shipmate::name(expected)));
      equal("the reason", kj::StringPtr(error.reason().c_str()), kj::StringPtr(reason));
    }
    goesOn(test);
  }
  try {
    fail(conformance::ErrorKind::DISCONNECTED, "the reason for disconnected");
  } catch (const shipmate::Disconnected& error) {
    equal("the reason", kj::StringPtr(error.what()),
          "the connection is gone: the reason for disconnected"_kj);
  }
  goesOn(test);
}

void deadline(Test& test) {
  auto quick = test.server.delayRequest();
  quick.setMillis(20);
  equal("the time it waited", test.loop.wait(quick.send(), 30s).getMillis(), 20u);

  auto slow = test.server.delayRequest();
  slow.setMillis(60'000);
  try {
    test.loop.wait(slow.send(), 50ms);
  } catch (const shipmate::Deadline&) {
    return goesOn(test);
  }
  throw Wrong("a call that takes too long: Deadline was expected, and it succeeded");
}

void many(Test& test) {
  kj::Vector<capnp::RemotePromise<Conformance::TextResults>> calls;
  for (int number = 0; number < 1000; ++number) {
    auto request = test.server.textRequest();
    request.setValue(kj::str("call ", number));
    calls.add(request.send());
  }
  for (int number = 0; number < 1000; ++number) {
    equal("the answer", kj::StringPtr(test.wait(kj::mv(calls[number])).getValue()), kj::str("call ", number));
  }
}

void restart(shipmate::Loop& loop, const std::string& address) {
  shipmate::Connector connector(loop, address, {20});
  auto connection = loop.wait(connector.connection());
  Test before{loop, connection.bootstrap<Conformance>()};
  auto inFlight = before.server.hangRequest().send();
  untilHanging(before, {1, 0});

  std::cout << "restart now" << std::endl;
  std::string line;
  if (!std::getline(std::cin, line)) throw Wrong("a line on standard input was expected, and it ended");

  isDisconnected(before, "the call in flight",
                 kj::Promise<capnp::Response<Conformance::HangResults>>(kj::mv(inFlight)));
  isDisconnected(before, "the next call", readNewCounter(before));

  auto again = loop.wait(connector.connection());
  Test after{loop, again.bootstrap<Conformance>()};
  equal("a call of a new connection", after.wait(readNewCounter(after)), 5);
}

}  // namespace conformance
