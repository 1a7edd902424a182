// A client: build/client ADDRESS.
#include <shipmate/client.h>

#include <iostream>

#include "greet.h"

int main(int count, char** arguments) try {
  if (count != 2) {
    std::cerr << "usage: client ADDRESS\n";
    return 2;
  }
  std::cout << greet(arguments[1], "C++") << "\n";
} catch (const shipmate::Unreachable& error) {
  std::cerr << "client: start the server first: " << error.what() << "\n";
  return 1;
} catch (const shipmate::Error& error) {
  std::cerr << "client: " << error.what() << "\n";
  return 1;
}
