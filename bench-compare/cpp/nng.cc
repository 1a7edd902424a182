// nng over a Unix socket: req and rep, with a context for each call in flight, and push and pull one way.

#include <nng/nng.h>
#include <nng/protocol/pipeline0/pull.h>
#include <nng/protocol/pipeline0/push.h>
#include <nng/protocol/reqrep0/rep.h>
#include <nng/protocol/reqrep0/req.h>

#include <cstring>

#include "kit.h"

using kit::Job;

namespace {

const char* const ADDRESS = "ipc://peer";
// Of a record: its value, and its name before the blob.
const size_t HEAD_BYTES = sizeof(int64_t) + kit::NAME.size();
// Messages that may wait to be sent, one way: as many as ZeroMQ lets wait; of large ones fewer, so that they
// stay in the cache.
const int SEND_BUFFER = 1000;
const int SEND_BUFFER_LARGE = 8;

void check(int result) { kit::require(result == 0, nng_strerror(result)); }

nng_socket open(int (*protocol)(nng_socket*)) {
  nng_socket socket;
  check(protocol(&socket));
  check(nng_socket_set_size(socket, NNG_OPT_RECVMAXSZ, 0));
  return socket;
}

nng_socket listening(int (*protocol)(nng_socket*)) {
  auto socket = open(protocol);
  check(nng_listen(socket, ADDRESS, nullptr, 0));
  kit::ready(ADDRESS);
  return socket;
}

nng_socket dialled(int (*protocol)(nng_socket*)) {
  auto socket = open(protocol);
  check(nng_dial(socket, ADDRESS, nullptr, 0));
  return socket;
}

nng_msg* message(const void* bytes, size_t count) {
  nng_msg* message;
  check(nng_msg_alloc(&message, count));
  memcpy(nng_msg_body(message), bytes, count);
  return message;
}

uint8_t* body(nng_msg* message) { return static_cast<uint8_t*>(nng_msg_body(message)); }

uint64_t answer(const Job& job, nng_msg* question) {
  if (!job.multiply()) return kit::sum(body(question), nng_msg_len(question));
  int64_t factors[2];
  memcpy(factors, body(question), sizeof factors);
  return factors[0] * factors[1];
}

void serve(const Job& job) {
  auto socket = listening(nng_rep0_open);
  for (;;) {
    nng_msg* question;
    check(nng_recvmsg(socket, &question, 0));
    auto value = answer(job, question);
    nng_msg_free(question);
    check(nng_sendmsg(socket, message(&value, sizeof value), 0));
  }
}

void receive() {
  auto socket = listening(nng_pull0_open);
  kit::Tally tally;
  for (;;) {
    nng_msg* record;
    check(nng_recvmsg(socket, &record, 0));
    if (nng_msg_len(record) < HEAD_BYTES) break;
    int64_t value;
    memcpy(&value, body(record), sizeof value);
    kit::require(memcmp(body(record) + sizeof value, kit::NAME.data(), kit::NAME.size()) == 0, "a wrong name");
    tally.note(value, body(record) + HEAD_BYTES, nng_msg_len(record) - HEAD_BYTES);
    nng_msg_free(record);
  }
  tally.figures();
  for (;;) pause();
}

// One of the calls in flight.
class Call {
 public:
  explicit Call(nng_socket socket) {
    check(nng_ctx_open(&context, socket));
    check(nng_aio_alloc(&aio, nullptr, nullptr));
  }

  void send(nng_msg* question) {
    before = kit::Clock::now();
    nng_aio_set_msg(aio, question);
    nng_ctx_send(context, aio);
    wait();
    nng_ctx_recv(context, aio);
  }

  // What it took.
  uint64_t receive(uint64_t expected) {
    wait();
    auto message = nng_aio_get_msg(aio);
    uint64_t value;
    kit::require(nng_msg_len(message) == sizeof value, "an answer of another length");
    memcpy(&value, body(message), sizeof value);
    kit::require(value == expected, "a wrong answer");
    nng_msg_free(message);
    return kit::Nanos(kit::Clock::now() - before).count();
  }

 private:
  nng_ctx context;
  nng_aio* aio;
  kit::Clock::time_point before;

  void wait() {
    nng_aio_wait(aio);
    check(nng_aio_result(aio));
  }
};

void call(const Job& job) {
  auto socket = dialled(nng_req0_open);
  auto blob = job.payload();
  int64_t factors[2] = {6, 7};
  auto question = [&] {
    return job.multiply() ? message(factors, sizeof factors) : message(blob.data(), blob.size());
  };
  auto expected = job.multiply() ? 42 : kit::sum(blob.data(), blob.size());
  std::vector<Call> calls;
  for (size_t i = 0; i < job.inFlight(); i++) calls.emplace_back(socket);

  // Replies come in the order of the calls.
  auto run = [&](double seconds) {
    auto end = kit::after(seconds);
    std::vector<uint64_t> took;
    std::deque<Call*> sent;
    auto send = [&](Call* call) {
      call->send(question());
      sent.push_back(call);
    };
    for (auto& call : calls) send(&call);
    while (!sent.empty()) {
      auto call = sent.front();
      sent.pop_front();
      took.push_back(call->receive(expected));
      if (kit::Clock::now() < end) send(call);
    }
    return took;
  };
  run(job.seconds / 5);
  kit::Start start;
  start.figures(run(job.seconds));
}

void send(const Job& job) {
  auto socket = dialled(nng_push0_open);
  auto blob = job.payload();
  check(nng_socket_set_int(socket, NNG_OPT_SENDBUF, blob.empty() ? SEND_BUFFER : SEND_BUFFER_LARGE));
  std::vector<uint8_t> record(sizeof(int64_t));
  record.insert(record.end(), kit::NAME.begin(), kit::NAME.end());
  record.insert(record.end(), blob.begin(), blob.end());
  kit::Start start;
  auto end = kit::after(job.seconds);
  int64_t sent = 0;
  // Of small messages, so many are sent that a look at the clock would count.
  while ((blob.empty() && sent % 16 != 0) || kit::Clock::now() < end) {
    sent++;
    memcpy(record.data(), &sent, sizeof sent);
    check(nng_sendmsg(socket, message(record.data(), record.size()), 0));
  }
  check(nng_sendmsg(socket, message("end", 3), 0));
  start.sent(sent);
  // What the other side has not read yet may be lost with the connection.
  kit::untilStdinEnds();
}

}  // namespace

int main(int argc, char** argv) {
  Job job(argc, argv);
  if (job.server) {
    job.oneWay() ? receive() : serve(job);
  } else {
    job.oneWay() ? send(job) : call(job);
  }
}
