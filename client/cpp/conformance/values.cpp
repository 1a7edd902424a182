// Values of every type, which come back as they were sent.
#include <cmath>
#include <limits>

#include "check.h"

namespace conformance {
namespace {

template <typename T>
constexpr auto LEAST = std::numeric_limits<T>::is_integer ? std::numeric_limits<T>::min()
                                                          : -std::numeric_limits<T>::infinity();
template <typename T>
constexpr auto GREATEST = std::numeric_limits<T>::is_integer ? std::numeric_limits<T>::max()
                                                             : std::numeric_limits<T>::infinity();

void setBetween(Primitives::Builder value) {
  value.setBool(true);
  value.setInt8(-12);
  value.setInt16(-1234);
  value.setInt32(-123'456'789);
  value.setInt64(-1'234'567'890'123'456'789);
  value.setUint8(200);
  value.setUint16(54'321);
  value.setUint32(4'000'000'000);
  value.setUint64(12'345'678'901'234'567'890u);
  value.setFloat32(1.5);
  value.setFloat64(-1.25e-300);
}

// The numbers, each of which `choose` gives for its type.
template <typename Choose>
void setNumbers(Primitives::Builder value, Choose choose) {
  value.setInt8(choose(int8_t()));
  value.setInt16(choose(int16_t()));
  value.setInt32(choose(int32_t()));
  value.setInt64(choose(int64_t()));
  value.setUint8(choose(uint8_t()));
  value.setUint16(choose(uint16_t()));
  value.setUint32(choose(uint32_t()));
  value.setUint64(choose(uint64_t()));
  value.setFloat32(choose(float()));
  value.setFloat64(choose(double()));
}

capnp::Response<Conformance::PrimitivesResults> echo(Test& test, Primitives::Reader value) {
  auto request = test.server.primitivesRequest();
  request.setValue(value);
  return test.wait(request.send());
}

void shapeComesBack(Test& test, Shape::Builder shape) {
  shape.setName("a shape");
  shape.getBorder().setWidth(7);
  shape.getBorder().setColour(Colour::GREEN);
  auto request = test.server.shapeRequest();
  request.setValue(shape.asReader());
  auto response = test.wait(request.send());
  equal("the arm", int(response.getValue().which()), int(shape.which()));
  equalAsText("the shape", response.getValue(), shape);
}

void listsComeBack(Test& test, Lists::Reader lists) {
  auto request = test.server.listsRequest();
  request.setValue(lists);
  equalAsText("the lists", test.wait(request.send()).getValue(), lists);
}

}  // namespace

void primitives(Test& test) {
  capnp::MallocMessageBuilder message;
  auto between = message.initRoot<Primitives>();
  setBetween(between);
  equalAsText("values in between", echo(test, between).getValue(), between);

  capnp::MallocMessageBuilder leastMessage, greatestMessage;
  auto least = leastMessage.initRoot<Primitives>();
  setNumbers(least, [](auto zero) { return LEAST<decltype(zero)>; });
  auto greatest = greatestMessage.initRoot<Primitives>();
  setNumbers(greatest, [](auto zero) { return GREATEST<decltype(zero)>; });
  greatest.setBool(true);

  auto extremes = test.wait(test.server.extremesRequest().send());
  equalAsText("the least", extremes.getLeast(), least);
  equalAsText("the greatest", extremes.getGreatest(), greatest);
  equalAsText("the least, echoed", echo(test, least).getValue(), least);
  equalAsText("the greatest, echoed", echo(test, greatest).getValue(), greatest);

  between.setFloat32(NAN);
  between.setFloat64(NAN);
  auto echoed = echo(test, between);
  equal("float32 is NaN", std::isnan(echoed.getValue().getFloat32()), true);
  equal("float64 is NaN", std::isnan(echoed.getValue().getFloat64()), true);
}

void text(Test& test) {
  std::string everyPlane;
  for (int plane = 0; plane < 17; ++plane) {
    // The code point 0x1041 of each, in UTF-8.
    everyPlane +=
        plane == 0 ? std::string("\xE1\x81\x81")
                   : std::string{char(0xF0 | plane >> 2), char(0x80 | (plane & 3) << 4 | 1), '\x81', '\x81'};
  }
  std::string ships;
  for (int count = 0; count < 33'333; ++count) ships += "船";
  using namespace std::string_literals;
  for (auto& value : {""s, "Ahoy!"s, "naïve, Ωμέγα, 船, 🚢"s, everyPlane, "before\0after"s,
                      std::string(1000, 'x'), ships, std::string(100'000, 'x')}) {
    auto request = test.server.textRequest();
    request.setValue(capnp::Text::Reader(value.c_str(), value.size()));
    auto response = test.wait(request.send());
    same("a text", response.getValue().asBytes(), kj::StringPtr(value.c_str(), value.size()).asBytes());
    equal("its bytes", response.getBytes(), value.size());
  }
}

void data(Test& test) {
  for (size_t size : {0, 256, 100'000}) {
    auto value = kj::heapArray<kj::byte>(size);
    for (size_t index = 0; index < size; ++index) value[index] = size == 256 ? index : index * 7 + 3;
    auto request = test.server.dataRequest();
    request.setValue(value);
    auto response = test.wait(request.send());
    same("the data", response.getValue(), value);
    equal("their sum", response.getSum(), sumOf(value));
  }
}

void lists(Test& test) {
  capnp::MallocMessageBuilder message;
  auto lists = message.initRoot<Lists>();
  lists.initBools(0);
  lists.initBytes(0);
  lists.initLongs(0);
  lists.initTexts(0);
  lists.initGrid(0);
  lists.initPoints(0);
  lists.initColours(0);
  listsComeBack(test, lists);

  lists.setBools({true, false, true, true, false, false, true, false, true});
  lists.setBytes({0, 1, 127, 128, 255});
  lists.setLongs({INT64_MIN, -1, 0, 1, INT64_MAX});
  lists.setTexts({"", "one", "zwei", "三"});
  auto grid = lists.initGrid(4);
  grid.set(0, {1});
  grid.init(1, 0);
  grid.set(2, {2, -3, INT32_MAX});
  grid.set(3, {INT32_MIN, 5});
  auto points = lists.initPoints(3);
  points[0].setX(1);
  points[0].setY(2);
  points[1].setX(-3);
  points[1].setY(4);
  points[2].setX(INT32_MIN);
  points[2].setY(INT32_MAX);
  lists.setColours({Colour::BLUE, Colour::RED, Colour::GREEN, Colour::BLUE});
  listsComeBack(test, lists);
}

void unions(Test& test) {
  capnp::MallocMessageBuilder message;
  auto shape = message.initRoot<Shape>();
  shape.setCircle(2.5);
  shapeComesBack(test, shape);

  auto rectangle = shape.initRectangle();
  rectangle.setWidth(3);
  rectangle.setHeight(0.25);
  shapeComesBack(test, shape);

  auto polygon = shape.initPolygon(3);
  polygon[1].setX(7);
  polygon[2].setY(-7);
  shapeComesBack(test, shape);

  shape.setNothing();
  shapeComesBack(test, shape);
}

void defaults(Test& test) {
  auto response = test.wait(test.server.defaultsRequest().send());
  auto value = response.getValue();
  equal("flag", value.getFlag(), true);
  equal("number", value.getNumber(), -123);
  equal("ratio", value.getRatio(), 0.5);
  equal("word", value.getWord(), "shipmate"_kj);
  same("bytes", value.getBytes(), kj::arr<kj::byte>(1, 2, 3));
  equal("colour", int(value.getColour()), int(Colour::BLUE));
  equal("primes", kj::strArray(value.getPrimes(), ", "), kj::str("2, 3, 5, 7"));
  equal("x of the point", value.getPoint().getX(), 3);
  equal("y of the point", value.getPoint().getY(), -4);
}

}  // namespace conformance
