// Schemas that grow: programs of different age understand each other.
#include "check.h"

namespace conformance {
namespace {

Colour paint(Test& test, uint16_t colour) {
  auto request = test.server.paintRequest();
  request.setColour(colour);
  auto response = test.wait(request.send());
  return response.getPainted().getAs<Painted>().getColour();
}

}  // namespace

void futureEnum(Test& test) {
  equal("number 1", int(paint(test, 1)), int(Colour::GREEN));
  equal("number 999", int(paint(test, 999)), 999);
}

void evolution(Test& test) {
  // Through a program that knows less than we do, nothing is lost.
  auto older = test.server.asOlderRequest();
  auto sent = older.getRecord().initAs<NewerRecord>();
  sent.setName("keel");
  sent.setValue(-5);
  sent.setUnit("fathom");
  sent.setWeight(2.25);
  sent.initTags(1).set(0, "oak");
  auto expected = kj::str(sent);
  auto seenAsOlder = test.wait(older.send());
  equal("the name, read as an older record", seenAsOlder.getName(), "keel"_kj);
  equal("the newer record", kj::str(seenAsOlder.getRecord().getAs<NewerRecord>()), expected);

  // From a program that knows less than the server, what is missing has its default.
  auto newer = test.server.asNewerRequest();
  auto old = newer.getRecord().initAs<OlderRecord>();
  old.setName("mast");
  old.setValue(7);
  auto response = test.wait(newer.send());
  auto record = response.getRecord();
  equal("the name", record.getName(), "mast"_kj);
  equal("the value", record.getValue(), 7);
  equal("the unit", record.getUnit(), "metre"_kj);
  equal("the weight", record.getWeight(), 1.5);
  equal("the number of tags", record.getTags().size(), 0u);
}

}  // namespace conformance
