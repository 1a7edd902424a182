@0xe7b2c4d6a8f01935;
# What a schema may have and the samples do not.

using Base = import "base.capnp";

interface Unusual extends (Base.Named, Closable) {
  # Inherits from another file, and from an interface that comes later in this one.

  nested @0 () -> (holder :Holder);
  # Capabilities in a struct and in a group.

  interface Inner {
    client @0 (capability :Inner) -> (then :Inner, finally :Text);
    # Names that the package uses itself.
  }

  any @1 (object :Capability) -> (object :Capability);

  stream @2 (number :UInt32) -> stream;

  big @3 (bytes :UInt32) -> (data :Data);

  wait @4 () -> ();

  list @5 (inners :List(Inner)) -> (inners :List(Inner));
}

interface Closable {
  close @0 () -> (closed :Bool);
}

struct Holder {
  inner @0 :Unusual.Inner;
  next @1 :Holder;

  group :group {
    inner @2 :Unusual.Inner;
  }
}

struct Twice {
  # To be set more than once.

  before @0 :Text;
  text @1 :Text;
  data @2 :Data;
  numbers @3 :List(UInt16);
  points @4 :List(Point);
  point @5 :Point;
  texts @6 :List(Text);
  after @7 :Text;
  depth @8 :Int32 = -70000;

  struct Point {
    x @0 :Int64;
    label @1 :Text;
  }
}
