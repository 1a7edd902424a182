// Loop: the event loop of a thread, and how to wait in it.
#pragma once

#include <kj/async-io.h>
#include <shipmate/errors.h>

#include <chrono>

namespace shipmate {

using Duration = std::chrono::nanoseconds;

// KJ's event loop, of which a thread has at most one. It outlives everything that is made with it, and all of
// that belongs to its thread.
class Loop {
 public:
  // A new one.
  Loop();

  // One that your program has already.
  explicit Loop(kj::AsyncIoContext& io);

  // KJ's destructors may throw; a class of yours with a Loop need not care.
  ~Loop() noexcept;

  KJ_DISALLOW_COPY(Loop);

  // Runs the loop until the promise is kept. Throws what went wrong, as a shipmate::Error. Not for
  // continuations, and not for methods of your objects: they return a promise.
  template <typename T>
  T wait(kj::Promise<T> promise);

  // The same, and throws Deadline when it takes longer.
  template <typename T>
  T wait(kj::Promise<T> promise, Duration longest) {
    return wait(within(kj::mv(promise), longest));
  }

  // A promise with a deadline, after which it is dropped: that cancels a call, on the server too.
  template <typename T>
  kj::Promise<T> within(kj::Promise<T> promise, Duration longest);

  kj::Promise<void> sleep(Duration time);

  kj::AsyncIoContext& io() { return io_; }

 private:
  kj::Maybe<kj::AsyncIoContext> own_;
  kj::AsyncIoContext& io_;
};

// The exception behind a Deadline.
kj::Exception deadlineExceeded(Duration longest);

template <typename T>
T Loop::wait(kj::Promise<T> promise) {
  try {
    return promise.wait(io_.waitScope);
  } catch (const kj::Exception& exception) {
    raise(exception);
  }
}

template <typename T>
kj::Promise<T> Loop::within(kj::Promise<T> promise, Duration longest) {
  return promise.exclusiveJoin(
      sleep(longest).then([longest]() -> kj::Promise<T> { return deadlineExceeded(longest); }));
}

}  // namespace shipmate
