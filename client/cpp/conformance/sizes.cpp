// Messages of several segments, and large ones.
#include "check.h"

namespace conformance {
namespace {

constexpr uint32_t MIB = 1 << 20;

kj::Array<kj::byte> pattern(size_t size) {
  auto bytes = kj::heapArray<kj::byte>(size);
  for (size_t index = 0; index < size; ++index) bytes[index] = index * 31 + 7;
  return bytes;
}

void echo(Test& test, uint32_t size) {
  auto sent = pattern(size);
  auto request = test.server.dataRequest();
  request.setValue(sent);
  same("what was sent", test.wait(request.send()).getValue(), sent);
}

void give(Test& test, uint32_t size) {
  auto request = test.server.largeRequest();
  request.setBytes(size);
  same("what was asked for", test.wait(request.send()).getValue(), pattern(size));
}

}  // namespace

void multiSegment(Test& test) {
  // The segments of a message grow: with parts of these sizes it has several.
  constexpr uint32_t PARTS = 20;
  auto request = test.server.segmentsRequest();
  auto parts = request.initParts(PARTS);
  for (uint32_t n = 0; n < PARTS; ++n) {
    auto part = parts.init(n, (n + 3) * 1000);
    memset(part.begin(), n, part.size());
  }
  auto response = test.wait(request.send());
  equal("the number of parts", response.getParts().size(), PARTS);
  for (uint32_t n = 0; n < PARTS; ++n) {
    auto expected = kj::heapArray<kj::byte>((n + 3) * 1000);
    memset(expected.begin(), n, expected.size());
    same("a part", response.getParts()[n], expected);
  }
}

void large(Test& test) {
  echo(test, MIB);
  give(test, MIB);
  give(test, 32 * MIB);
  echo(test, 32 * MIB);
}

}  // namespace conformance
