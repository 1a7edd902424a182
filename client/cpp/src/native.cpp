#include "native.h"

#include <kj/io.h>
#include <kj/thread.h>

#include <algorithm>

#include "library.h"
#include "local.h"

namespace shipmate {
namespace {

kj::AutoCloseFd connectNow(const library::Functions& functions, const char* address,
                           std::uint32_t timeoutMillis) {
  library::Options options{sizeof(library::Options), timeoutMillis, 0, 0, 0};
  library::Error error{};
  int descriptor = functions.connect(address, &options, &error);
  if (descriptor >= 0) return kj::AutoCloseFd(descriptor);
  if (error.code == library::CODE_DISCONNECTED) {
    kj::throwFatalException(
        kj::Exception(kj::Exception::Type::DISCONNECTED, __FILE__, __LINE__, kj::str(error.message)));
  }
  const char* type = error.code == library::CODE_ADDRESS ? local::ADDRESS : local::UNREACHABLE;
  kj::throwFatalException(local::error(type, error.message));
}

}  // namespace

kj::Promise<kj::Own<kj::AsyncIoStream>> connectNative(Loop& loop, const Address& address, Duration timeout) {
  auto& functions = library::functions();
  auto millis = std::chrono::duration_cast<std::chrono::milliseconds>(timeout).count();
  auto connected = kj::newPromiseAndCrossThreadFulfiller<kj::AutoCloseFd>();

  // Connecting blocks. When nobody waits for it any more, the thread ends by itself and closes the socket.
  kj::Thread([&functions, text = address.str(), millis, fulfiller = kj::mv(connected.fulfiller)]() mutable {
    fulfiller->rejectIfThrows([&]() {
      fulfiller->fulfill(
          connectNow(functions, text.c_str(),
                     static_cast<std::uint32_t>(std::clamp<std::int64_t>(millis, 1, UINT32_MAX))));
    });
  }).detach();

  return connected.promise.then([&loop](kj::AutoCloseFd socket) {
    return loop.io().lowLevelProvider->wrapSocketFd(kj::mv(socket),
                                                    kj::LowLevelAsyncIoProvider::ALREADY_CLOEXEC);
  });
}

}  // namespace shipmate
