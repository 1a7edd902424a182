// Measures calls of Arith.multiply and prints a line of JSON: bench shipmate|stock ADDRESS CALLS, where stock
// is Cap'n Proto's EzRpcClient. `cargo xtask clients-bench` runs it.
#include <capnp/ez-rpc.h>
#include <shipmate/client.h>

#include <algorithm>
#include <chrono>
#include <iostream>
#include <stdexcept>
#include <string>
#include <vector>

#include "arith.capnp.h"

namespace {

using Client = arith::Arith::Client;
using Clock = std::chrono::steady_clock;

// So many calls are in flight at once where calls per second are counted.
constexpr int IN_FLIGHT = 32;

auto send(Client& client) {
  auto request = client.multiplyRequest();
  request.setA(6);
  request.setB(7);
  return request.send();
}

template <typename Response>
void check(Response&& response) {
  if (response.getProduct().getValue() != 42) throw std::runtime_error("6 * 7 is not 42");
}

template <typename Wait>
void measure(const std::string& which, Client client, int calls, Wait&& wait) {
  for (int count = 0; count < calls / 10; ++count) check(wait(send(client)));
  std::vector<double> micros;
  for (int count = 0; count < calls; ++count) {
    auto before = Clock::now();
    check(wait(send(client)));
    micros.push_back(std::chrono::duration<double, std::micro>(Clock::now() - before).count());
  }
  std::sort(micros.begin(), micros.end());

  int batches = calls / IN_FLIGHT;
  auto before = Clock::now();
  for (int batch = 0; batch < batches; ++batch) {
    std::vector<decltype(send(client))> sent;
    for (int count = 0; count < IN_FLIGHT; ++count) sent.push_back(send(client));
    for (auto& promise : sent) check(wait(kj::mv(promise)));
  }
  double seconds = std::chrono::duration<double>(Clock::now() - before).count();
  std::cout << "{\"which\": \"" << which << "\", \"p50_us\": " << micros[calls / 2]
            << ", \"calls_per_s\": " << batches * IN_FLIGHT / seconds << "}" << std::endl;
}

}  // namespace

int main(int count, char** arguments) try {
  if (count != 4) throw shipmate::Error("usage: bench shipmate|stock ADDRESS CALLS");
  std::string which = arguments[1];
  int calls = std::stoi(arguments[3]);
  if (which == "shipmate") {
    shipmate::Loop loop;
    auto connection = loop.wait(shipmate::connect(loop, arguments[2]));
    measure(which, connection.bootstrap<arith::Arith>(), calls,
            [&](auto promise) { return loop.wait(kj::mv(promise)); });
  } else if (which == "stock") {
    capnp::EzRpcClient client(arguments[2]);
    measure(which, client.getMain<arith::Arith>(), calls,
            [&](auto promise) { return promise.wait(client.getWaitScope()); });
  } else {
    throw shipmate::Error("it is shipmate or stock");
  }
} catch (const std::exception& error) {
  std::cerr << "bench: " << error.what() << "\n";
  return 1;
}
