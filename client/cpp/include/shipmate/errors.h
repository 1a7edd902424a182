// What can go wrong, by type.
#pragma once

#include <kj/exception.h>

#include <stdexcept>
#include <string>

namespace shipmate {

// The base of all of them. `what()` is for people.
class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// The address cannot be understood, and the text shows the right form; or it is one that cannot be listened
// at.
class AddressError final : public Error {
 public:
  using Error::Error;
};

// Nobody answers at the address.
class Unreachable final : public Error {
 public:
  using Error::Error;
};

// The connection is gone: closed, died, lost. Every pending call gets it at once.
class Disconnected final : public Error {
 public:
  using Error::Error;
};

// No answer within the time allowed. The call was cancelled, on the server too.
class Deadline final : public Error {
 public:
  using Error::Error;
};

// What should be a message is none, or is too large.
class ProtocolError final : public Error {
 public:
  using Error::Error;
};

enum class ErrorKind { failed, overloaded, unimplemented };

// "failed", "overloaded" or "unimplemented".
const char* name(ErrorKind kind);

// The service answered with an exception. (Errors of an application are values in its schema.)
class ServiceError final : public Error {
 public:
  ServiceError(ErrorKind kind, const std::string& reason);

  ErrorKind kind() const { return kind_; }

  // Word for word as the service gave it, without prefixes.
  const std::string& reason() const { return reason_; }

 private:
  ErrorKind kind_;
  std::string reason_;
};

// Throws what an exception of KJ stands for. `Loop::wait` does so; use it yourself in a promise's
// continuation, where every error is a kj::Exception.
[[noreturn]] void raise(const kj::Exception& exception);

// What a method of yours answers with: `return shipmate::failure(ErrorKind::overloaded, "ask again later");`
kj::Exception failure(ErrorKind kind, kj::StringPtr reason);

}  // namespace shipmate
