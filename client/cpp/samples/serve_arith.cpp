// A server: `Arith` in C++, for clients in any language.
//
//   serve_arith unix:/tmp/arith.sock &
//   shipmate arith divide 22 7 --at unix:/tmp/arith.sock
#include <kj/async-unix.h>
#include <shipmate/client.h>

#include <csignal>
#include <iostream>

#include "arith.capnp.h"

using arith::ArithError;

class Arith final : public arith::Arith::Server {
  kj::Promise<void> multiply(MultiplyContext context) override {
    auto product = context.getResults().initProduct();
    std::int64_t value;
    if (__builtin_mul_overflow(context.getParams().getA(), context.getParams().getB(), &value)) {
      product.setError(ArithError::OVERFLOW);
    } else {
      product.setValue(value);
    }
    return kj::READY_NOW;
  }

  kj::Promise<void> divide(DivideContext context) override {
    auto a = context.getParams().getA(), b = context.getParams().getB();
    auto division = context.getResults().initDivision();
    if (b == 0) {
      division.setError(ArithError::DIVIDE_BY_ZERO);
    } else if (a == INT64_MIN && b == -1) {
      division.setError(ArithError::OVERFLOW);
    } else {
      division.initValue().setQuotient(a / b);
      division.getValue().setRemainder(a % b);
    }
    return kj::READY_NOW;
  }
};

int main(int count, char** arguments) try {
  if (count != 2) throw shipmate::Error("usage: serve_arith ADDRESS");
  for (int number : {SIGINT, SIGTERM}) kj::UnixEventPort::captureSignal(number);
  shipmate::Loop loop;
  auto server = loop.wait(shipmate::serve(loop, arguments[1], kj::heap<Arith>()));
  std::cout << "ready at " << server.address().str() << std::endl;

  auto& signals = loop.io().unixEventPort;
  auto stopped = signals.onSignal(SIGINT).exclusiveJoin(signals.onSignal(SIGTERM));
  loop.wait(stopped.ignoreResult().exclusiveJoin(server.run()));
} catch (const shipmate::Error& error) {
  std::cerr << "serve_arith: " << error.what() << "\n";
  return 1;
}
