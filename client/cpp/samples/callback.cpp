// A callback: the server calls a function of this program while it evaluates an expression.
//
//   shipmated --listen unix:/tmp/ship.sock=calculator &
//   callback unix:/tmp/ship.sock
#include <shipmate/client.h>

#include <iostream>

#include "calculator.capnp.h"

using calculator::Calculator;

// The sum of its arguments' squares.
class SumOfSquares final : public Calculator::Function::Server {
  kj::Promise<void> call(CallContext context) override {
    double sum = 0;
    for (double value : context.getParams().getParams()) sum += value * value;
    std::cout << "called with " << context.getParams().getParams().size() << " numbers\n";
    context.getResults().setValue(sum);
    return kj::READY_NOW;
  }
};

int main(int count, char** arguments) try {
  if (count != 2) throw shipmate::Error("usage: callback ADDRESS");
  shipmate::Loop loop;
  auto connection = loop.wait(shipmate::connect(loop, arguments[1]));

  auto request = connection.bootstrap<Calculator>().evaluateRequest();
  auto call = request.initExpression().initCall();
  call.setFunction(kj::heap<SumOfSquares>());
  auto parameters = call.initParams(2);
  parameters[0].setLiteral(3);
  parameters[1].setLiteral(4);

  // `value` is used before it is there: one round trip, not two.
  auto result = loop.wait(request.send().getValue().readRequest().send());
  std::cout << result.getValue() << "\n";
} catch (const shipmate::Error& error) {
  std::cerr << "callback: " << error.what() << "\n";
  return 1;
}
