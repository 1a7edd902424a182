// What every step uses: the server, and how to say what was expected and what was seen.
#pragma once

#include <shipmate/client.h>

#include <string>

#include "conformance.capnp.h"

namespace conformance {

// What was expected and what was seen.
class Wrong final : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// The longest that a call may take: a limit for hanging, not for being slow.
constexpr shipmate::Duration CALL_MAX = std::chrono::seconds(60);

struct Test {
  shipmate::Loop& loop;
  Conformance::Client server;

  template <typename T>
  T wait(kj::Promise<T> promise) {
    return loop.wait(kj::mv(promise), CALL_MAX);
  }
};

template <typename Seen, typename Expected>
void equal(const char* what, const Seen& seen, const Expected& expected) {
  if (seen == expected) return;
  throw Wrong(kj::str(what, ": expected ", expected, " and saw ", seen).cStr());
}

// `equal`, for structs: they are compared, and shown, as text.
template <typename Seen, typename Expected>
void equalAsText(const char* what, const Seen& seen, const Expected& expected) {
  equal(what, kj::str(seen), kj::str(expected));
}

// `equal`, for values that are too long to be shown.
inline void same(const char* what, kj::ArrayPtr<const kj::byte> seen, kj::ArrayPtr<const kj::byte> expected) {
  equal(what, seen.size(), expected.size());
  for (size_t index = 0; index < seen.size(); ++index) {
    if (seen[index] != expected[index]) {
      equal(kj::str("byte ", index, " of ", what).cStr(), int(seen[index]), int(expected[index]));
    }
  }
}

inline uint32_t sumOf(kj::ArrayPtr<const kj::byte> bytes) {
  uint32_t sum = 0;
  for (auto byte : bytes) sum += byte;
  return sum;
}

// Of values.cpp
void primitives(Test& test);
void text(Test& test);
void data(Test& test);
void lists(Test& test);
void unions(Test& test);
void defaults(Test& test);

// Of evolution.cpp
void futureEnum(Test& test);
void evolution(Test& test);

// Of sizes.cpp
void multiSegment(Test& test);
void large(Test& test);

// Of capabilities.cpp
void capability(Test& test);
void identity(Test& test);
void callback(Test& test);
void reentrant(Test& test);
void pipelining(Test& test);
void outOfOrder(Test& test);

// Of streams.cpp
void streamUp(Test& test);
void streamDown(Test& test);

// Of failures.cpp
void cancel(Test& test);
void typedError(Test& test);
void errorKinds(Test& test);
void deadline(Test& test);
void many(Test& test);
void restart(shipmate::Loop& loop, const std::string& address);

}  // namespace conformance
