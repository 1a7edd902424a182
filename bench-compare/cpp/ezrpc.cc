// Cap'n Proto's own implementation, by EzRpc: `tcp|unix`. rust/kit says what the words mean.

#include <capnp/ez-rpc.h>
#include <capnp/message.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <string>
#include <thread>
#include <vector>

#include "peer.capnp.h"

using Clock = std::chrono::steady_clock;

namespace {

struct Job {
  bool unixSocket;
  std::string address;
  bool multiply;
  size_t size;
  double seconds;

  size_t inFlight() const { return multiply ? size : 1; }
};

uint64_t sum(capnp::Data::Reader blob) {
  uint64_t sum = 0;
  for (size_t i = 0; i < blob.size(); i += 4096) sum += blob[i];
  return sum;
}

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
  capnp::EzRpcServer server(kj::heap<Service>(), job.unixSocket ? "unix:peer" : "127.0.0.1:0");
  auto& waitScope = server.getWaitScope();
  auto port = server.getPort().wait(waitScope);
  auto address = job.unixSocket ? std::string("unix:peer") : "127.0.0.1:" + std::to_string(port);
  std::thread([] {
    char byte;
    while (read(STDIN_FILENO, &byte, 1) > 0) {
    }
    _exit(0);
  }).detach();
  printf("ready %s\n", address.c_str());
  fflush(stdout);
  kj::NEVER_DONE.wait(waitScope);
}

// One caller, and what its calls took.
class Caller {
 public:
  Caller(Peer::Client peer, const Job& job, const std::vector<uint8_t>& blob)
      : peer(kj::mv(peer)), job(job), blob(blob) {}

  // Calls again and again, until `end`.
  kj::Promise<void> run(Clock::time_point end, std::vector<uint64_t>& took) {
    auto before = Clock::now();
    return one().then([this, end, &took, before]() -> kj::Promise<void> {
      auto now = Clock::now();
      took.push_back(std::chrono::nanoseconds(now - before).count());
      if (now < end) return run(end, took);
      return kj::READY_NOW;
    });
  }

 private:
  Peer::Client peer;
  const Job& job;
  const std::vector<uint8_t>& blob;

  kj::Promise<void> one() {
    if (job.multiply) {
      auto request = peer.multiplyRequest(capnp::MessageSize{16, 0});
      request.setA(6);
      request.setB(7);
      return request.send().then([](auto response) { KJ_REQUIRE(response.getProduct() == 42); });
    }
    auto bytes = kj::arrayPtr(blob.data(), blob.size());
    auto request = peer.takeRequest(capnp::MessageSize{16 + blob.size() / 8, 0});
    request.setBlob(bytes);
    return request.send().then([bytes](auto response) { KJ_REQUIRE(response.getSum() == sum(bytes)); });
  }
};

uint64_t cpu() {
  timespec used;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
  return used.tv_sec * 1000000000ull + used.tv_nsec;
}

void call(const Job& job) {
  capnp::EzRpcClient client(job.address);
  auto& waitScope = client.getWaitScope();
  std::vector<uint8_t> blob(job.multiply ? 0 : job.size, 7);
  std::vector<Caller> callers;
  for (size_t i = 0; i < job.inFlight(); i++) callers.emplace_back(client.getMain<Peer>(), job, blob);

  auto calls = [&](double seconds) {
    auto end = Clock::now() + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds));
    std::vector<uint64_t> took;
    auto promises = kj::heapArrayBuilder<kj::Promise<void>>(callers.size());
    for (auto& caller : callers) promises.add(caller.run(end, took));
    kj::joinPromises(promises.finish()).wait(waitScope);
    return took;
  };

  calls(job.seconds / 5);
  printf("start\n");
  fflush(stdout);
  auto start = Clock::now();
  auto used = cpu();
  auto took = calls(job.seconds);
  std::chrono::duration<double> elapsed = Clock::now() - start;
  used = cpu() - used;
  std::sort(took.begin(), took.end());
  auto at = [&](size_t part) { return (unsigned long long)took[std::min(took.size() * part / 100, took.size() - 1)]; };
  printf("{\"calls\":%zu,\"seconds\":%.9f,\"p50_ns\":%llu,\"p99_ns\":%llu,\"cpu_client_ns\":%llu}\n", took.size(),
         elapsed.count(), at(50), at(99), (unsigned long long)used);
}

}  // namespace

int main(int argc, char** argv) {
  KJ_REQUIRE(argc >= 5, "TRANSPORT server WORK SIZE, or TRANSPORT client ADDRESS WORK SIZE SECONDS");
  Job job{.unixSocket = std::string(argv[1]) == "unix"};
  bool isServer = std::string(argv[2]) == "server";
  int rest = 3;
  if (!isServer) job.address = argv[rest++];
  job.multiply = std::string(argv[rest]) == "multiply";
  job.size = std::strtoull(argv[rest + 1], nullptr, 10);
  if (isServer) {
    serve(job);
  } else {
    job.seconds = std::strtod(argv[rest + 2], nullptr);
    call(job);
  }
}
