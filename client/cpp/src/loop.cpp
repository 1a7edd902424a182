#include "shipmate/loop.h"

#include <kj/debug.h>

#include "local.h"

namespace shipmate {

Loop::Loop() : own_(kj::setupAsyncIo()), io_(KJ_ASSERT_NONNULL(own_)) {}

Loop::Loop(kj::AsyncIoContext& io) : io_(io) {}

Loop::~Loop() noexcept = default;

kj::Promise<void> Loop::sleep(Duration time) {
  return io_.provider->getTimer().afterDelay(time.count() * kj::NANOSECONDS);
}

kj::Exception deadlineExceeded(Duration longest) {
  auto millis = std::chrono::duration_cast<std::chrono::milliseconds>(longest).count();
  return local::error(local::DEADLINE, "no answer within ", millis, " ms: the call was cancelled");
}

}  // namespace shipmate
