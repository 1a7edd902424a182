// Arithmetic: a call, and a result that says what can go wrong.
//
//   shipmated --listen unix:/tmp/ship.sock=arith &
//   arith unix:/tmp/ship.sock
#include <shipmate/client.h>

#include <iostream>

#include "arith.capnp.h"

using arith::ArithError;

int main(int count, char** arguments) try {
  if (count != 2) throw shipmate::Error("usage: arith ADDRESS");
  shipmate::Loop loop;
  auto connection = loop.wait(shipmate::connect(loop, arguments[1]));
  auto service = connection.bootstrap<arith::Arith>();

  for (auto [a, b] : {std::pair(22, 7), std::pair(1, 0)}) {
    auto request = service.divideRequest();
    request.setA(a);
    request.setB(b);
    auto response = loop.wait(request.send(), std::chrono::seconds(10));

    auto division = response.getDivision();
    std::cout << a << " / " << b << ": ";
    if (division.isValue()) {
      std::cout << division.getValue().getQuotient() << " remainder " << division.getValue().getRemainder()
                << "\n";
    } else {
      std::cout << (division.getError() == ArithError::DIVIDE_BY_ZERO ? "divided by zero" : "too large")
                << "\n";
    }
  }
} catch (const shipmate::Error& error) {
  std::cerr << "arith: " << error.what() << "\n";
  return 1;
}
