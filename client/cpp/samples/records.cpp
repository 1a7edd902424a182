// Messages that go one way, both ends of it.
//
//   records receive unix:/tmp/r        (or: shipmate recv unix:/tmp/r)
//   records send unix:/tmp/r           (or: shipmate send unix:/tmp/r)
#include <shipmate/client.h>

#include <iostream>

#include "record.capnp.h"

using record::Record;

void send(shipmate::Loop& loop, const char* address) {
  auto sender = loop.wait(shipmate::sendTo(loop, address));

  capnp::MallocMessageBuilder depth;
  auto record = depth.initRoot<Record>();
  record.setName("depth");
  record.setValue(42);
  record.initTags(1).set(0, "harbour");
  record.initPosition().setLatitude(53.5);
  loop.wait(sender.send(depth));

  capnp::MallocMessageBuilder wind;
  record = wind.initRoot<Record>();
  record.setName("wind");
  record.setValue(7);
  record.getBody().setText("north-west");
  loop.wait(sender.send(wind));

  sender.close();
}

void receive(shipmate::Loop& loop, const char* address) {
  auto receivers = loop.wait(shipmate::receiveAt(loop, address));
  std::cerr << "listening at " << receivers.address().str() << std::endl;
  auto receiver = loop.wait(receivers.accept());
  while (auto message = loop.wait(receiver.receive())) {
    auto record = message.as<Record>();
    std::cout << record.getName().cStr() << " " << record.getValue();
    for (auto tag : record.getTags()) std::cout << " " << tag.cStr();
    std::cout << std::endl;
  }
}

int main(int count, char** arguments) try {
  auto what = std::string(count == 3 ? arguments[1] : "");
  if (what != "send" && what != "receive") throw shipmate::Error("usage: records send|receive ADDRESS");
  shipmate::Loop loop;
  (what == "send" ? send : receive)(loop, arguments[2]);
} catch (const shipmate::Error& error) {
  std::cerr << "records: " << error.what() << "\n";
  return 1;
}
