// The transports that come from the C library `libshipmate`: `pipe:`, `shm:` and `auto:`.
#pragma once

#include "shipmate/address.h"
#include "shipmate/loop.h"

namespace shipmate {

// A connected socket whose far end a thread of the library carries over the address's transport.
kj::Promise<kj::Own<kj::AsyncIoStream>> connectNative(Loop& loop, const Address& address, Duration timeout);

}  // namespace shipmate
