#include "greet.h"

#include <shipmate/client.h>

#include "greeter.capnp.h"

std::string greet(const std::string& address, const std::string& name) {
  shipmate::Loop loop;
  auto connection = loop.wait(shipmate::connect(loop, address));

  auto request = connection.bootstrap<greeter::Greeter>().greetRequest();
  request.setName(name);
  auto response = loop.wait(request.send(), std::chrono::seconds(5));
  return response.getGreeting().cStr();
}
