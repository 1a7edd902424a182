// The functions of the C library `libshipmate`, which is found while the program runs.
#pragma once

#include <cstddef>
#include <cstdint>

namespace shipmate::library {

// The part of shipmate.h that is used here, so that neither building nor installing needs the library.
enum Code {
  CODE_ADDRESS = 1,
  CODE_UNREACHABLE = 2,
  CODE_ADDRESS_IN_USE = 3,
  CODE_DISCONNECTED = 4,
  CODE_PROTOCOL = 5,
  CODE_LIMIT = 6,
  CODE_DEADLINE = 7,
};

struct Error {
  int code;
  int osError;
  char message[504];
};

struct Options {
  std::size_t size;
  std::uint32_t connectTimeoutMillis;
  std::uint32_t spinMicros;
  std::uint32_t mode;
  std::uint32_t tier;
};

struct Segment {
  const void* data;
  std::size_t size;
};

struct Message {
  std::size_t segmentCount;
  const Segment* segments;
};

struct Functions {
  int (*connect)(const char* address, const Options*, Error*);
  int (*senderOpen)(const char* address, const Options*, void** sender, Error*);
  int (*senderSend)(void* sender, const Segment*, std::size_t count, Error*);
  int (*senderLoan)(void* sender, std::size_t bytes, void** loan, void** memory, Error*);
  int (*loanPublish)(void* loan, std::size_t used, Error*);
  void (*loanCancel)(void* loan);
  int (*senderClose)(void* sender, Error*);
  int (*receiverListen)(const char* address, const Options*, void** listener, Error*);
  const char* (*listenerAddress)(const void* listener);
  int (*receiverAccept)(void* listener, int timeoutMillis, void** receiver, Error*);
  void (*listenerClose)(void* listener);
  int (*receiverReceive)(void* receiver, int timeoutMillis, const Message** message, Error*);
  void (*messageReturn)(const Message* message);
  void (*receiverClose)(void* receiver);
};

// Throws Unreachable, as a kj::Exception of local.h, where there is none.
const Functions& functions();

}  // namespace shipmate::library
