// Errors of this package on their way through promises.
//
// A promise carries a kj::Exception and nothing derived from it. Of ours, the name of the error's type is in
// the place of the file's name, which goes wherever the exception goes, but not to another process.
#pragma once

#include <kj/exception.h>
#include <kj/string.h>

namespace shipmate::local {

constexpr const char* ADDRESS = "shipmate: AddressError";
constexpr const char* UNREACHABLE = "shipmate: Unreachable";
constexpr const char* DEADLINE = "shipmate: Deadline";
constexpr const char* PROTOCOL = "shipmate: ProtocolError";

// For clients in other processes, which are answered with it when a method of ours lets it through, all are
// of the kind `failed`.
template <typename... Parts>
kj::Exception error(const char* type, Parts&&... text) {
  return kj::Exception(kj::Exception::Type::FAILED, type, 0, kj::str(kj::fwd<Parts>(text)...));
}

inline bool is(const char* type, const kj::Exception& exception) {
  return kj::StringPtr(exception.getFile()) == type;
}

}  // namespace shipmate::local
