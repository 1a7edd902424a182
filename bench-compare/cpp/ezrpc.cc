// Cap'n Proto's own implementation, by EzRpc: `tcp|unix`.

#include <capnp/ez-rpc.h>
#include <capnp/message.h>

#include "kit.h"
#include "peer.capnp.h"

using kit::Clock;
using kit::Job;

namespace {

uint64_t sum(capnp::Data::Reader blob) { return kit::sum(blob.begin(), blob.size()); }

class Service final : public Peer::Server {
  kj::Promise<void> multiply(MultiplyContext context) override {
    auto params = context.getParams();
    context.getResults().setProduct(params.getA() * params.getB());
    return kj::READY_NOW;
  }

  kj::Promise<void> take(TakeContext context) override {
    context.getResults().setSum(sum(context.getParams().getBlob()));
    return kj::READY_NOW;
  }
};

void serve(const Job& job) {
  bool tcp = job.way == "tcp";
  capnp::EzRpcServer server(kj::heap<Service>(), tcp ? "127.0.0.1:0" : "unix:peer");
  auto& waitScope = server.getWaitScope();
  auto port = server.getPort().wait(waitScope);
  kit::ready(tcp ? "127.0.0.1:" + std::to_string(port) : "unix:peer");
  kj::NEVER_DONE.wait(waitScope);
}

// One caller of many.
class Caller {
 public:
  Caller(Peer::Client peer, const Job& job, const std::vector<uint8_t>& blob)
      : peer(kj::mv(peer)), multiply(job.multiply()), blob(blob) {}

  // Calls again and again, until `end`.
  kj::Promise<void> run(Clock::time_point end, std::vector<uint64_t>& took) {
    auto before = Clock::now();
    return one().then([this, end, &took, before]() -> kj::Promise<void> {
      auto now = Clock::now();
      took.push_back(kit::Nanos(now - before).count());
      if (now < end) return run(end, took);
      return kj::READY_NOW;
    });
  }

 private:
  Peer::Client peer;
  bool multiply;
  const std::vector<uint8_t>& blob;

  kj::Promise<void> one() {
    if (multiply) {
      auto request = peer.multiplyRequest(capnp::MessageSize{16, 0});
      request.setA(6);
      request.setB(7);
      return request.send().then([](auto response) { kit::require(response.getProduct() == 42, "6 * 7 is not 42"); });
    }
    auto bytes = kj::arrayPtr(blob.data(), blob.size());
    auto request = peer.takeRequest(capnp::MessageSize{16 + blob.size() / 8, 0});
    request.setBlob(bytes);
    return request.send().then([bytes](auto response) { kit::require(response.getSum() == sum(bytes), "a wrong sum"); });
  }
};

void call(const Job& job) {
  capnp::EzRpcClient client(job.address);
  auto& waitScope = client.getWaitScope();
  auto blob = job.payload();
  std::vector<Caller> callers;
  for (size_t i = 0; i < job.inFlight(); i++) callers.emplace_back(client.getMain<Peer>(), job, blob);

  auto calls = [&](double seconds) {
    auto end = kit::after(seconds);
    std::vector<uint64_t> took;
    auto promises = kj::heapArrayBuilder<kj::Promise<void>>(callers.size());
    for (auto& caller : callers) promises.add(caller.run(end, took));
    kj::joinPromises(promises.finish()).wait(waitScope);
    return took;
  };
  calls(job.seconds / 5);
  kit::Start start;
  start.figures(calls(job.seconds));
}

}  // namespace

int main(int argc, char** argv) {
  Job job(argc, argv);
  job.server ? serve(job) : call(job);
}
