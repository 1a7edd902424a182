// References to objects, of the server and of this program.
#include <kj/vector.h>

#include "check.h"

namespace conformance {
namespace {

Counter::Client newCounter(Test& test, int64_t start) {
  auto request = test.server.newCounterRequest();
  request.setStart(start);
  return test.wait(request.send()).getCounter();
}

int64_t add(Test& test, Counter::Client counter, int64_t amount) {
  auto request = counter.addRequest();
  request.setAmount(amount);
  return test.wait(request.send()).getValue();
}

int64_t read(Test& test, Counter::Client counter) {
  return test.wait(counter.readRequest().send()).getValue();
}

// A counter of this program.
struct Count {
  int64_t value;
  int reads = 0;
};

class OwnCounter final : public Counter::Server {
 public:
  explicit OwnCounter(Count& count) : count_(count) {}

 private:
  kj::Promise<void> add(AddContext context) override {
    count_.value += context.getParams().getAmount();
    context.getResults().setValue(count_.value);
    return kj::READY_NOW;
  }

  kj::Promise<void> read(ReadContext context) override {
    ++count_.reads;
    context.getResults().setValue(count_.value);
    return kj::READY_NOW;
  }

  Count& count_;
};

class Doubler final : public Callback::Server {
 public:
  explicit Doubler(kj::Vector<int64_t>& numbers) : numbers_(numbers) {}

 private:
  kj::Promise<void> call(CallContext context) override {
    auto number = context.getParams().getNumber();
    numbers_.add(number);
    context.getResults().setAnswer(number * 2);
    return kj::READY_NOW;
  }

  kj::Vector<int64_t>& numbers_;
};

// Calls the server that called it, before it answers.
class Again final : public Reentrant::Server {
 public:
  explicit Again(kj::Vector<uint32_t>& depths) : depths_(depths) {}

 private:
  kj::Promise<void> call(CallContext context) override {
    auto parameters = context.getParams();
    depths_.add(parameters.getDepth());
    auto request = parameters.getServer().reenterRequest();
    request.setCallback(thisCap());
    request.setDepth(parameters.getDepth());
    return request.send().then(
        [context](auto response) mutable { context.getResults().setDepth(response.getDepth()); });
  }

  kj::Vector<uint32_t>& depths_;
};

}  // namespace

void capability(Test& test) {
  auto one = newCounter(test, 10);
  auto other = newCounter(test, 100);
  equal("10 + 5", add(test, one, 5), 15);
  equal("100 - 1", add(test, other, -1), 99);
  equal("the one", read(test, one), 15);
  equal("the other", read(test, other), 99);
}

void identity(Test& test) {
  auto theirs = test.server.identifyRequest();
  theirs.setCounter(newCounter(test, 11));
  auto seen = test.wait(theirs.send());
  equal("a counter of the server is own", seen.getOwn(), true);
  equal("its value", seen.getValue(), 11);

  Count count{22};
  Counter::Client counter = kj::heap<OwnCounter>(count);
  auto ours = test.server.identifyRequest();
  ours.setCounter(counter);
  auto seenOurs = test.wait(ours.send());
  equal("a counter of ours is own", seenOurs.getOwn(), false);
  equal("its value", seenOurs.getValue(), 22);
  equal("how often it was read", count.reads, 1);

  auto echo = test.server.echoCounterRequest();
  echo.setCounter(counter);
  auto echoed = test.wait(echo.send()).getCounter();
  equal("22 + 3", add(test, echoed, 3), 25);
  equal("the object that was called", count.value, 25);
}

void callback(Test& test) {
  kj::Vector<int64_t> numbers;
  auto request = test.server.callRequest();
  request.setCallback(kj::heap<Doubler>(numbers));
  request.setTimes(100);
  equal("the sum of what it answered", test.wait(request.send()).getSum(), 9900);
  equal("how often it was called", numbers.size(), 100u);
  for (int64_t number = 0; number < 100; ++number)
    equal("the number it was called with", numbers[number], number);
}

void reentrant(Test& test) {
  kj::Vector<uint32_t> depths;
  auto request = test.server.reenterRequest();
  request.setCallback(kj::heap<Again>(depths));
  request.setDepth(5);
  equal("the depth", test.wait(request.send()).getDepth(), 5u);
  equal("the depths it was called with", kj::strArray(depths, ", "), kj::str("4, 3, 2, 1, 0"));
}

// All five calls are on their way before the first is answered.
void pipelining(Test& test) {
  auto fourth = test.server.nodeRequest()
                    .send()
                    .getNode()
                    .nextRequest()
                    .send()
                    .getNode()
                    .nextRequest()
                    .send()
                    .getNode()
                    .nextRequest()
                    .send()
                    .getNode();
  equal("the depth of the fourth node", test.wait(fourth.depthRequest().send()).getDepth(), 3u);
}

// Two results of one call, used before it returned. The server sets the second first.
void outOfOrder(Test& test) {
  auto pair = test.server.pairRequest().send();
  auto first = pair.getFirst().readRequest().send();
  auto second = pair.getSecond().readRequest().send();
  equal("first", test.wait(kj::mv(first)).getValue(), 1);
  equal("second", test.wait(kj::mv(second)).getValue(), 2);
}

}  // namespace conformance
