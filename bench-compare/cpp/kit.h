// What the C++ programs share: the words that they exchange with the driver, and the figures. rust/kit says
// what the words mean.
#pragma once

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <deque>
#include <string>
#include <thread>
#include <vector>

namespace kit {

using Clock = std::chrono::steady_clock;
using Nanos = std::chrono::nanoseconds;

// The guide's record's.
inline const std::string NAME = "sensor-17";

struct Job {
  std::string way, address, work;
  bool server = false;
  size_t size = 0;
  double seconds = 0;

  // Of `WAY server WORK SIZE` or `WAY client ADDRESS WORK SIZE SECONDS`.
  Job(int argc, char** argv) {
    std::deque<std::string> words(argv + 1, argv + argc);
    auto next = [&] {
      if (words.empty()) {
        fprintf(stderr, "WAY server WORK SIZE, or WAY client ADDRESS WORK SIZE SECONDS\n");
        exit(2);
      }
      auto word = words.front();
      words.pop_front();
      return word;
    };
    way = next();
    server = next() == "server";
    if (!server) address = next();
    work = next();
    size = std::stoull(next());
    if (!server) seconds = std::stod(next());
  }

  bool multiply() const { return work == "multiply"; }
  bool oneWay() const { return work == "record" || work == "bulk"; }
  size_t inFlight() const { return multiply() ? size : 1; }
  std::vector<uint8_t> payload() const {
    return std::vector<uint8_t>(work == "blob" || work == "bulk" ? size : 0, 7);
  }
};

inline uint64_t sum(const uint8_t* bytes, size_t count) {
  uint64_t sum = 0;
  for (size_t i = 0; i < count; i += 4096) sum += bytes[i];
  return sum;
}

inline void require(bool holds, const char* what) {
  if (holds) return;
  fprintf(stderr, "%s\n", what);
  abort();
}

inline void say(const std::string& line) {
  printf("%s\n", line.c_str());
  fflush(stdout);
}

inline void untilStdinEnds() {
  char byte;
  while (read(STDIN_FILENO, &byte, 1) > 0) {
  }
}

// Says where the server listens, once it does, and ends this process with its standard input.
inline void ready(const std::string& address) {
  std::thread([] {
    untilStdinEnds();
    _exit(0);
  }).detach();
  say("ready " + address);
}

inline Clock::time_point after(double seconds) {
  return Clock::now() + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds));
}

inline uint64_t cpu() {
  timespec used;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
  return used.tv_sec * 1000000000ull + used.tv_nsec;
}

// Where measuring begins, as the driver is told.
class Start {
 public:
  Start() {
    say("start");
    at = Clock::now();
    used = cpu();
  }

  // Of calls that took so many nanoseconds each.
  void figures(std::vector<uint64_t> took) const {
    auto elapsed = Clock::now() - at;
    auto cpuUsed = cpu() - used;
    std::sort(took.begin(), took.end());
    auto part = [&](size_t part) { return took[std::min(took.size() * part / 100, took.size() - 1)]; };
    print(took.size(), elapsed, part(50), part(99), cpuUsed);
  }

  // Of a sender.
  void sent(uint64_t messages) const { print(messages, Clock::now() - at, 0, 0, cpu() - used); }

  static void print(uint64_t calls, Clock::duration elapsed, uint64_t p50, uint64_t p99, uint64_t cpu) {
    auto seconds = std::chrono::duration<double>(elapsed).count();
    printf("{\"calls\":%ju,\"seconds\":%.9f,\"p50_ns\":%ju,\"p99_ns\":%ju,\"cpu_client_ns\":%ju}\n", uintmax_t(calls),
           seconds, uintmax_t(p50), uintmax_t(p99), uintmax_t(cpu));
    fflush(stdout);
  }

 private:
  Clock::time_point at;
  uint64_t used;
};

// Counts what is received one way, from the first message to the last.
class Tally {
 public:
  void note(int64_t value, const uint8_t* blob, size_t count) {
    if (messages++ == 0) first = Clock::now();
    seen = seen + value + sum(blob, count);
  }

  // The first message is where time begins.
  void figures() const { Start::print(messages - 1, Clock::now() - first, 0, 0, cpu()); }

 private:
  uint64_t messages = 0;
  volatile uint64_t seen = 0;
  Clock::time_point first;
};

}  // namespace kit
