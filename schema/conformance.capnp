@0xc4f1b6f0a3d2e871;
# What a client in any language must be able to do, one method for each feature. `shipmated` hosts it
# for tests (`--listen ADDRESS=conformance`), and each language's client runs all of it.
#
# The server takes values apart and builds them again, field by field, so that an echo proves that both
# sides read and write what the schema says, and not only that bytes are carried.

interface Conformance {
  # Values.

  primitives @0 (value :Primitives) -> (value :Primitives);

  extremes @1 () -> (least :Primitives, greatest :Primitives);
  # Of each number type the least and the greatest value: of the floating-point types these are the
  # infinities. The booleans are false and true.

  text @2 (value :Text) -> (value :Text, bytes :UInt32);
  # `bytes` is its length in UTF-8.

  data @3 (value :Data) -> (value :Data, sum :UInt32);
  # `sum` is that of all its bytes, modulo 2^32.

  lists @4 (value :Lists) -> (value :Lists);

  shape @5 (value :Shape) -> (value :Shape);

  defaults @6 () -> (value :Defaults);
  # A struct in which nothing was set.

  paint @7 (colour :UInt16) -> (painted :AnyPointer);
  # A `Painted` whose colour has that number, whether or not this schema knows it: a value from the
  # future must not hurt a client that reads it.

  asOlder @8 (record :AnyPointer) -> (record :AnyPointer, name :Text);
  # Takes a `NewerRecord`, reads it as an `OlderRecord` for its `name`, and gives the whole back: what
  # an old program does not know it must not lose.

  asNewer @9 (record :AnyPointer) -> (record :NewerRecord);
  # Takes an `OlderRecord` and reads it as a `NewerRecord`: what an old program did not write has its
  # default.

  # Sizes.

  segments @10 (parts :List(Data)) -> (parts :List(Data));
  # For messages of several segments: some parts of several thousand bytes each.

  large @11 (bytes :UInt32) -> (value :Data);
  # Byte i of the value is i * 31 + 7, modulo 256.

  # Capabilities.

  newCounter @12 (start :Int64) -> (counter :Counter);

  identify @13 (counter :Counter) -> (own :Bool, value :Int64);
  # Takes a counter: `own` when it is the very object that this server made, and its value. One that
  # the client implements is not `own`, and is called.

  echoCounter @14 (counter :Counter) -> (counter :Counter);
  # Gives back what it was given. It must be the same object.

  pair @15 () -> (first :Counter, second :Counter);
  # Counters at 1 and at 2. The server sets `second` before `first`.

  node @16 () -> (node :Node);
  # The start of a chain, of depth 0: for calls on promises.

  call @17 (callback :Callback, times :UInt32) -> (sum :Int64);
  # Calls `callback` with 0, 1, … `times` - 1, one after the other, and sums up what it answers.

  reenter @18 (callback :Reentrant, depth :UInt32) -> (depth :UInt32);
  # When `depth` is not 0, calls `callback` with this server and `depth` - 1, before it returns, and
  # returns 1 more than that returned; else 0. A callback that calls `reenter` again goes on so.

  # Streams.

  openSink @19 () -> (sink :Sink);
  # Takes what the client streams.

  pour @20 (sink :Sink, chunks :UInt32, bytes :UInt32) -> (peak :UInt64);
  # Streams `chunks` chunks of `bytes` bytes into the client's sink, then calls `done`. Byte i of each
  # chunk is the chunk's number plus i, modulo 256. `peak` is how many bytes the server had under way
  # at most: it stays within its window, plus one chunk, however slow the sink is.

  # Failure and time.

  fail @21 (kind :ErrorKind, reason :Text) -> ();
  # Fails with an exception of this kind and reason.

  refuse @22 (code :UInt16) -> (outcome :Outcome);
  # Answers with a typed error, or for code 0 with a value.

  delay @23 (millis :UInt32) -> (millis :UInt32);
  # Answers after this time.

  hang @24 () -> ();
  # Never answers. It ends when it is cancelled.

  hanging @25 () -> (waiting :UInt32, cancelled :UInt32);
  # How many calls of `hang` this connection has waiting, and how many of them were cancelled.
}

struct Primitives {
  void @0 :Void;
  bool @1 :Bool;
  int8 @2 :Int8;
  int16 @3 :Int16;
  int32 @4 :Int32;
  int64 @5 :Int64;
  uint8 @6 :UInt8;
  uint16 @7 :UInt16;
  uint32 @8 :UInt32;
  uint64 @9 :UInt64;
  float32 @10 :Float32;
  float64 @11 :Float64;
}

struct Lists {
  bools @0 :List(Bool);
  bytes @1 :List(UInt8);
  longs @2 :List(Int64);
  texts @3 :List(Text);
  grid @4 :List(List(Int32));
  points @5 :List(Point);
  colours @6 :List(Colour);
}

struct Point {
  x @0 :Int32;
  y @1 :Int32;
}

enum Colour {
  red @0;
  green @1;
  blue @2;
}

struct Shape {
  name @0 :Text;

  union {
    circle @1 :Float64;
    # Its radius.

    rectangle :group {
      width @2 :Float64;
      height @3 :Float64;
    }

    polygon @4 :List(Point);

    nothing @5 :Void;
  }

  border :group {
    width @6 :UInt16;
    colour @7 :Colour;
  }
}

struct Defaults {
  flag @0 :Bool = true;
  number @1 :Int32 = -123;
  ratio @2 :Float64 = 0.5;
  word @3 :Text = "shipmate";
  bytes @4 :Data = 0x"01 02 03";
  colour @5 :Colour = blue;
  primes @6 :List(UInt16) = [2, 3, 5, 7];
  point @7 :Point = (x = 3, y = -4);
}

struct Painted {
  colour @0 :Colour;
}

struct OlderRecord {
  # A struct as an old program knows it.

  name @0 :Text;
  value @1 :Int64;
}

struct NewerRecord {
  # The same struct, some versions later.

  name @0 :Text;
  value @1 :Int64;
  unit @2 :Text = "metre";
  weight @3 :Float64 = 1.5;
  tags @4 :List(Text);
}

interface Counter {
  add @0 (amount :Int64) -> (value :Int64);
  # The value after it.

  read @1 () -> (value :Int64);
}

interface Node {
  next @0 () -> (node :Node);
  # A node that is deeper by 1.

  depth @1 () -> (depth :UInt32);
}

interface Callback {
  call @0 (number :Int64) -> (answer :Int64);
}

interface Reentrant {
  call @0 (server :Conformance, depth :UInt32) -> (depth :UInt32);
  # What `server.reenter(self, depth)` returns.
}

interface Sink {
  write @0 (chunk :Data) -> stream;

  done @1 () -> (chunks :UInt32, bytes :UInt64, sum :UInt32);
  # How much was written; `sum` is that of all bytes, modulo 2^32.
}

enum ErrorKind {
  # The kinds that Cap'n Proto's RPC has.

  failed @0;
  overloaded @1;
  disconnected @2;
  unimplemented @3;
}

struct Outcome {
  union {
    value @0 :Text;
    error @1 :Refusal;
  }
}

struct Refusal {
  code @0 :UInt16;
  reason @1 :Text;
}
