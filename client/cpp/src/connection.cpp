#include "shipmate/connection.h"

#include <capnp/rpc-twoparty.h>
#include <kj/debug.h>

#include <algorithm>
#include <random>

#include "sockets.h"
#include "watched_stream.h"

namespace shipmate {

class Connection::State {
 public:
  explicit State(kj::Own<kj::AsyncIoStream> stream)
      : rpc_(kj::heap<Rpc>(kj::mv(stream))), ended_(end().fork()) {}

  capnp::Capability::Client bootstrap() {
    if (!rpc_)
      return kj::Exception(kj::Exception::Type::DISCONNECTED, __FILE__, __LINE__, kj::str("it was closed"));
    return rpc_->root;
  }

  bool isOpen() const { return rpc_ && !isEnded_ && !rpc_->stream.isEnded(); }

  kj::Promise<void> closed() { return ended_.addBranch(); }

  void close() {
    rpc_ = nullptr;
    closing_->fulfill();
  }

 private:
  struct Rpc {
    explicit Rpc(kj::Own<kj::AsyncIoStream> connected)
        : stream(kj::mv(connected)),
          network(stream, capnp::rpc::twoparty::Side::CLIENT),
          system(capnp::makeRpcClient(network)),
          root(bootstrap(system)) {}

    static capnp::Capability::Client bootstrap(capnp::RpcSystem<capnp::rpc::twoparty::VatId>& system) {
      capnp::MallocMessageBuilder message(4);
      auto server = message.initRoot<capnp::rpc::twoparty::VatId>();
      server.setSide(capnp::rpc::twoparty::Side::SERVER);
      return system.bootstrap(server);
    }

    WatchedStream stream;
    capnp::TwoPartyVatNetwork network;
    capnp::RpcSystem<capnp::rpc::twoparty::VatId> system;
    // Asked for at once: before that the library does not read, and would not see the connection end.
    capnp::Capability::Client root;
  };

  kj::Promise<void> end() {
    auto closing = kj::newPromiseAndFulfiller<void>();
    closing_ = kj::mv(closing.fulfiller);
    return rpc_->network.onDisconnect()
        .exclusiveJoin(kj::mv(closing.promise))
        .then([this]() { isEnded_ = true; })
        .eagerlyEvaluate(nullptr);
  }

  kj::Own<Rpc> rpc_;
  bool isEnded_ = false;
  kj::Own<kj::PromiseFulfiller<void>> closing_;
  kj::ForkedPromise<void> ended_;
};

capnp::Capability::Client Connection::untypedBootstrap() { return state_->bootstrap(); }

bool Connection::isOpen() const { return state_->isOpen(); }

kj::Promise<void> Connection::closed() { return state_->closed(); }

void Connection::close() { state_->close(); }

kj::Promise<Connection> connect(Loop& loop, std::string_view address, Duration timeout) {
  return withAddress(address, [&](const Address& parsed) {
    return connectSocket(loop, parsed, timeout).then([](kj::Own<kj::AsyncIoStream> stream) {
      return Connection(std::make_shared<Connection::State>(kj::mv(stream)));
    });
  });
}

struct Connector::State {
  Loop& loop;
  std::string address;
  Backoff backoff;
  kj::Maybe<Connection> current;
  // The last attempts, which may be over.
  kj::Maybe<kj::ForkedPromise<Connection>> connecting;
  bool isConnecting = false;
};

namespace {

Duration draw(Duration pause) {
  static thread_local std::mt19937 random{std::random_device{}()};
  return std::chrono::duration_cast<Duration>(pause * std::uniform_real_distribution<>(0.5, 1)(random));
}

kj::Promise<Connection> tryToConnect(Loop& loop, std::string address, Backoff backoff) {
  auto connecting = connect(loop, address);
  if (backoff.attempts <= 1) return connecting;
  return connecting.catch_(
      [&loop, address, backoff](kj::Exception&& exception) mutable -> kj::Promise<Connection> {
        // Time makes no address right.
        if (local::is(local::ADDRESS, exception)) return kj::mv(exception);
        auto pause = draw(backoff.first);
        auto longer = std::chrono::duration_cast<Duration>(backoff.first * backoff.factor);
        backoff.first = std::min(longer, backoff.longest);
        backoff.attempts -= 1;
        return loop.sleep(pause).then(
            [&loop, address, backoff]() { return tryToConnect(loop, address, backoff); });
      });
}

}  // namespace

Connector::Connector(Loop& loop, std::string_view address, Backoff backoff)
    : state_(new State{loop, std::string(address), backoff, nullptr, nullptr, false}) {}

kj::Promise<Connection> Connector::connection() {
  KJ_IF_MAYBE (current, state_->current) {
    if (current->isOpen()) return *current;
  }
  if (!state_->isConnecting) {
    state_->isConnecting = true;
    auto weak = std::weak_ptr<State>(state_);
    auto done = [weak](kj::Maybe<Connection> connection) {
      if (auto state = weak.lock()) {
        state->isConnecting = false;
        state->current = kj::mv(connection);
      }
    };
    state_->connecting = tryToConnect(state_->loop, state_->address, state_->backoff)
                             .then(
                                 [done](Connection connection) -> kj::Promise<Connection> {
                                   done(connection);
                                   return connection;
                                 },
                                 [done](kj::Exception&& exception) -> kj::Promise<Connection> {
                                   done(nullptr);
                                   return kj::mv(exception);
                                 })
                             .fork();
  }
  return KJ_ASSERT_NONNULL(state_->connecting).addBranch();
}

}  // namespace shipmate
