#include "shipmate/errors.h"

#include "local.h"

namespace shipmate {
namespace {

// Each process that passes an exception on puts this in front.
std::string withoutPrefixes(kj::StringPtr description) {
  constexpr kj::StringPtr PREFIX = "remote exception: "_kj;
  while (description.startsWith(PREFIX)) description = description.slice(PREFIX.size());
  return std::string(description.begin(), description.end());
}

}  // namespace

const char* name(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::failed:
      return "failed";
    case ErrorKind::overloaded:
      return "overloaded";
    case ErrorKind::unimplemented:
      return "unimplemented";
  }
  return "failed";
}

ServiceError::ServiceError(ErrorKind kind, const std::string& reason)
    : Error(std::string("the service answered: ") + name(kind) + ": " + reason),
      kind_(kind),
      reason_(reason) {}

void raise(const kj::Exception& exception) {
  auto reason = withoutPrefixes(exception.getDescription());
  if (local::is(local::ADDRESS, exception)) throw AddressError(reason);
  if (local::is(local::UNREACHABLE, exception)) throw Unreachable(reason);
  if (local::is(local::DEADLINE, exception)) throw Deadline(reason);
  if (local::is(local::PROTOCOL, exception)) throw ProtocolError(reason);
  switch (exception.getType()) {
    case kj::Exception::Type::DISCONNECTED:
      throw Disconnected("the connection is gone: " + reason);
    case kj::Exception::Type::OVERLOADED:
      throw ServiceError(ErrorKind::overloaded, reason);
    case kj::Exception::Type::UNIMPLEMENTED:
      throw ServiceError(ErrorKind::unimplemented, reason);
    case kj::Exception::Type::FAILED:
      break;
  }
  throw ServiceError(ErrorKind::failed, reason);
}

kj::Exception failure(ErrorKind kind, kj::StringPtr reason) {
  auto type = kind == ErrorKind::overloaded      ? kj::Exception::Type::OVERLOADED
              : kind == ErrorKind::unimplemented ? kj::Exception::Type::UNIMPLEMENTED
                                                 : kj::Exception::Type::FAILED;
  return kj::Exception(type, __FILE__, __LINE__, kj::heapString(reason));
}

}  // namespace shipmate
