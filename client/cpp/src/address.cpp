#include "shipmate/address.h"

#include <arpa/inet.h>

#include <algorithm>
#include <optional>

#include "shipmate/errors.h"

namespace shipmate {
namespace {

constexpr const char* ANY_FORM = "tcp:HOST:PORT, unix:/path, unix:@name, pipe:/path, shm:/path or auto:/path";
constexpr const char* TCP_FORM = "tcp:HOST:PORT, as in tcp:127.0.0.1:7700 or tcp:[::1]:7700";

// `sockaddr_un.sun_path` has 108 bytes, one of them for the NUL or the abstract marker (unix(7)).
constexpr std::size_t PATH_BYTES_MAX = 107;

std::optional<std::uint16_t> parsePort(std::string_view text) {
  auto isDigit = [](char c) { return '0' <= c && c <= '9'; };
  if (text.empty() || text.size() > 5 || !std::all_of(text.begin(), text.end(), isDigit)) return std::nullopt;
  int port = std::stoi(std::string(text));
  if (port > UINT16_MAX) return std::nullopt;
  return static_cast<std::uint16_t>(port);
}

bool isIpv6(std::string_view text) {
  in6_addr address;
  // A scope such as %eth0 may follow the address.
  return inet_pton(AF_INET6, std::string(text.substr(0, text.find('%'))).c_str(), &address) == 1;
}

bool isHost(std::string_view text) {
  auto isOdd = [](unsigned char c) {
    return c <= ' ' || c == 0x7f || c == ':' || c == '[' || c == ']' || c == '/' || c == '@';
  };
  return !text.empty() && std::none_of(text.begin(), text.end(), isOdd);
}

std::optional<Address> parseTcp(std::string_view place) {
  auto colon = place.rfind(':');
  if (colon == std::string_view::npos) return std::nullopt;
  auto port = parsePort(place.substr(colon + 1));
  auto host = place.substr(0, colon);
  bool bracketed = host.size() > 2 && host.front() == '[' && host.back() == ']';
  if (bracketed) host = host.substr(1, host.size() - 2);
  if (!port || !(bracketed ? isIpv6(host) : isHost(host))) return std::nullopt;
  return Address{"tcp", std::string(host), *port};
}

}  // namespace

Address Address::parse(std::string_view text) {
  auto refuse = [&](const std::string& form) {
    auto shown = std::string(text);
    // The text of an exception ends at a NUL.
    std::replace(shown.begin(), shown.end(), '\0', '?');
    return AddressError("'" + shown + "' is not an address: write " + form);
  };
  auto colon = text.find(':');
  auto transport = std::string(text.substr(0, colon));
  if (colon == std::string_view::npos) throw refuse(ANY_FORM);
  auto place = text.substr(colon + 1);
  if (place.find('\0') != std::string_view::npos) throw refuse("a place without NUL bytes");

  if (transport == "tcp") {
    if (auto address = parseTcp(place)) return *address;
    throw refuse(TCP_FORM);
  }
  bool isAbstract = !place.empty() && place.front() == '@';
  if (transport == "unix" && isAbstract) {
    if (place.size() < 2 || place.size() > PATH_BYTES_MAX + 1)
      throw refuse("unix:@name, with a name of 1 to 107 bytes");
  } else if (transport == "unix" || transport == "shm" || transport == "auto") {
    // What looks like an abstract name would be a file in the current folder.
    if (place.empty() || place.size() > PATH_BYTES_MAX || (transport == "auto" && isAbstract)) {
      throw refuse(transport + ":/path, of at most 107 bytes");
    }
  } else if (transport == "pipe") {
    if (place.empty()) throw refuse("pipe:/path");
  } else {
    throw refuse(ANY_FORM);
  }
  return Address{transport, std::string(place), 0};
}

std::string Address::str() const {
  if (transport != "tcp") return transport + ":" + place;
  auto host = place.find(':') == std::string::npos ? place : "[" + place + "]";
  return "tcp:" + host + ":" + std::to_string(port);
}

}  // namespace shipmate
