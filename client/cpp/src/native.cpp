#include "native.h"

#include <dlfcn.h>
#include <kj/io.h>
#include <kj/thread.h>

#include <algorithm>
#include <cstddef>
#include <cstdlib>

#include "local.h"

namespace shipmate {
namespace {

// The part of shipmate.h that is used here, so that neither building nor installing needs the library.
enum Code { CODE_ADDRESS = 1, CODE_DISCONNECTED = 4 };

struct CError {
  int code;
  int osError;
  char message[504];
};

struct COptions {
  std::size_t size;
  std::uint32_t connectTimeoutMillis;
  std::uint32_t spinMicros;
  std::uint32_t mode;
  std::uint32_t reserved;
};

using Connect = int (*)(const char* address, const COptions* options, CError* error);

constexpr kj::StringPtr MISSING =
    "pipe:, shm: and auto: addresses need the C library libshipmate, which was not found: build and install "
    "it in "
    "Shipmate's repository by `ffi/install`, or let SHIPMATE_LIBRARY be the path of libshipmate.so"_kj;

// The library stays loaded: its thread may be at work.
Connect load() {
  const char* path = std::getenv("SHIPMATE_LIBRARY");
  bool isNamed = path != nullptr && *path != '\0';
  void* library = dlopen(isNamed ? path : "libshipmate.so.0", RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    auto reason = kj::str(dlerror());
    if (!isNamed) kj::throwFatalException(local::error(local::UNREACHABLE, MISSING, " (", reason, ")"));
    kj::throwFatalException(local::error(local::UNREACHABLE, "SHIPMATE_LIBRARY cannot be loaded: ", reason));
  }
  void* connect = dlsym(library, "shipmate_connect");
  if (connect == nullptr)
    kj::throwFatalException(local::error(local::UNREACHABLE, "no libshipmate: ", dlerror()));
  return reinterpret_cast<Connect>(connect);
}

kj::AutoCloseFd connectNow(Connect connect, const char* address, std::uint32_t timeoutMillis) {
  COptions options{sizeof(COptions), timeoutMillis, 0, 0, 0};
  CError error{};
  int descriptor = connect(address, &options, &error);
  if (descriptor >= 0) return kj::AutoCloseFd(descriptor);
  if (error.code == CODE_DISCONNECTED) {
    kj::throwFatalException(
        kj::Exception(kj::Exception::Type::DISCONNECTED, __FILE__, __LINE__, kj::str(error.message)));
  }
  const char* type = error.code == CODE_ADDRESS ? local::ADDRESS : local::UNREACHABLE;
  kj::throwFatalException(local::error(type, error.message));
}

}  // namespace

kj::Promise<kj::Own<kj::AsyncIoStream>> connectNative(Loop& loop, const Address& address, Duration timeout) {
  auto connect = load();
  auto millis = std::chrono::duration_cast<std::chrono::milliseconds>(timeout).count();
  auto connected = kj::newPromiseAndCrossThreadFulfiller<kj::AutoCloseFd>();

  // Connecting blocks. When nobody waits for it any more, the thread ends by itself and closes the socket.
  kj::Thread([connect, text = address.str(), millis, fulfiller = kj::mv(connected.fulfiller)]() mutable {
    fulfiller->rejectIfThrows([&]() {
      fulfiller->fulfill(
          connectNow(connect, text.c_str(),
                     static_cast<std::uint32_t>(std::clamp<std::int64_t>(millis, 1, UINT32_MAX))));
    });
  }).detach();

  return connected.promise.then([&loop](kj::AutoCloseFd socket) {
    return loop.io().lowLevelProvider->wrapSocketFd(kj::mv(socket),
                                                    kj::LowLevelAsyncIoProvider::ALREADY_CLOEXEC);
  });
}

}  // namespace shipmate
