#include "library.h"

#include <dlfcn.h>

#include <cstdlib>

#include "local.h"

namespace shipmate::library {
namespace {

constexpr kj::StringPtr MISSING =
    "pipe:, shm: and auto: addresses need the C library libshipmate, which was not found: build and install "
    "it in Shipmate's repository by `ffi/install`, or let SHIPMATE_LIBRARY be the path of libshipmate.so"_kj;

template <typename Function>
void find(void* library, const char* name, Function& function) {
  void* found = dlsym(library, name);
  if (found == nullptr)
    kj::throwFatalException(local::error(local::UNREACHABLE, "no libshipmate: ", dlerror()));
  function = reinterpret_cast<Function>(found);
}

// The library stays loaded: its thread may be at work.
Functions load() {
  const char* path = std::getenv("SHIPMATE_LIBRARY");
  bool isNamed = path != nullptr && *path != '\0';
  void* library = dlopen(isNamed ? path : "libshipmate.so.0", RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    auto reason = kj::str(dlerror());
    if (!isNamed) kj::throwFatalException(local::error(local::UNREACHABLE, MISSING, " (", reason, ")"));
    kj::throwFatalException(local::error(local::UNREACHABLE, "SHIPMATE_LIBRARY cannot be loaded: ", reason));
  }
  Functions all;
  find(library, "shipmate_connect", all.connect);
  find(library, "shipmate_sender_open", all.senderOpen);
  find(library, "shipmate_sender_send", all.senderSend);
  find(library, "shipmate_sender_loan", all.senderLoan);
  find(library, "shipmate_loan_publish", all.loanPublish);
  find(library, "shipmate_loan_cancel", all.loanCancel);
  find(library, "shipmate_sender_close", all.senderClose);
  find(library, "shipmate_receiver_listen", all.receiverListen);
  find(library, "shipmate_listener_address", all.listenerAddress);
  find(library, "shipmate_receiver_accept", all.receiverAccept);
  find(library, "shipmate_listener_close", all.listenerClose);
  find(library, "shipmate_receiver_receive", all.receiverReceive);
  find(library, "shipmate_message_return", all.messageReturn);
  find(library, "shipmate_receiver_close", all.receiverClose);
  return all;
}

}  // namespace

const Functions& functions() {
  // Where loading throws, the next call tries again.
  static const Functions FUNCTIONS = load();
  return FUNCTIONS;
}

}  // namespace shipmate::library
