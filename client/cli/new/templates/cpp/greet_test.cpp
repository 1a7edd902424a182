// Calls to the server at $ADDRESS: ../test starts one and runs this.
#include "greet.h"

#include <shipmate/client.h>

#include <cstdlib>
#include <iostream>

namespace {

int failures = 0;

void check(bool holds, const std::string& what) {
  if (holds) return;
  std::cerr << "failed: " << what << "\n";
  ++failures;
}

void theServerGreetsByName() {
  const char* address = std::getenv("ADDRESS");
  if (address == nullptr) throw shipmate::Error("ADDRESS says where the server is");
  auto greeting = greet(address, "Ada");
  check(greeting == "Hello, Ada!", "the server greets by name, and not with " + greeting);
}

void withoutAServerTheErrorSaysSo() {
  try {
    greet("unix:/nowhere/greeter.sock", "Ada");
    check(false, "without a server there is no greeting");
  } catch (const shipmate::Unreachable&) {
  }
}

}  // namespace

int main() try {
  theServerGreetsByName();
  withoutAServerTheErrorSaysSo();
  return failures == 0 ? 0 : 1;
} catch (const shipmate::Error& error) {
  std::cerr << "failed: " << error.what() << "\n";
  return 1;
}
