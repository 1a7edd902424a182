// Every feature that a client must have, tried at a real server: `conformance ADDRESS [--restart]`.
//
// The steps are those of client/README.md, in its order.
#include <functional>
#include <iostream>
#include <string>

#include "check.h"

namespace conformance {
namespace {

struct Step {
  const char* name;
  void (*take)(Test&);
};

constexpr Step STEPS[] = {
    {"primitives", primitives},
    {"text", text},
    {"data", data},
    {"lists", lists},
    {"unions", unions},
    {"defaults", defaults},
    {"future-enum", futureEnum},
    {"evolution", evolution},
    {"multi-segment", multiSegment},
    {"large", large},
    {"capability", capability},
    {"identity", identity},
    {"callback", callback},
    {"reentrant", reentrant},
    {"pipelining", pipelining},
    {"out-of-order", outOfOrder},
    {"stream-up", streamUp},
    {"stream-down", streamDown},
    {"cancel", cancel},
    {"typed-error", typedError},
    {"error-kinds", errorKinds},
    {"deadline", deadline},
    {"many", many},
};

// Takes a step and says how it went.
bool report(const char* name, const std::function<void()>& step) {
  try {
    step();
    std::cout << "ok " << name << std::endl;
    return true;
  } catch (const std::exception& wrong) {
    auto what = std::string(wrong.what());
    for (auto& c : what) c = c == '\n' ? ' ' : c;
    std::cout << "FAILED " << name << ": " << what << std::endl;
    return false;
  }
}

bool run(const std::string& address, bool withRestart) {
  shipmate::Loop loop;
  bool isPassed = true;
  {
    auto connection = loop.wait(shipmate::connect(loop, address));
    Test test{loop, connection.bootstrap<Conformance>()};
    for (auto& step : STEPS) isPassed &= report(step.name, [&]() { step.take(test); });
  }
  if (withRestart) isPassed &= report("restart", [&]() { restart(loop, address); });
  return isPassed;
}

}  // namespace
}  // namespace conformance

int main(int count, char** arguments) {
  bool withRestart = count == 3 && arguments[2] == std::string("--restart");
  if (count != 2 && !withRestart) {
    std::cerr << "usage: conformance ADDRESS [--restart]\n";
    return 2;
  }
  try {
    return conformance::run(arguments[1], withRestart) ? 0 : 1;
  } catch (const shipmate::Error& error) {
    std::cerr << "conformance: " << error.what() << "\n";
    return 2;
  }
}
