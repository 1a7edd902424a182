@0xd0c1a4a7a9e6f3b1;
# What is hard to write in Java: names, defaults, constants, inheritance, lists of objects.

const answer :Int32 = 42;
const greeting :Text = "a \"quoted\" \\ text, café";
const largest :UInt64 = 0xffffffffffffffff;
const half :Float32 = 0.5;
const origin :Place = (x = 1, names = ["here", "there"]);
const primes :List(UInt16) = [2, 3, 5];

struct Place {
  x @0 :Int32 = 7;
  names @1 :List(Text) = ["default"];
}

struct Words {
  # Members that are words of Java; and a comment that is not to end early: */ <b> \u0041.

  class @0 :Text = "€";
  void @1 :Void;
  new @2 :Place;
  int :union {
    long @3 :Int64 = -5;
    short :group {
      float @4 :Float32 = 1.5;
      flag @5 :Bool = true;
    }
  }
  enum @6 :Case = default;
  deep @7 :List(List(List(Text)));
  reader @8 :UInt8 = 255;

  enum Case {
    switch @0;
    default @1;
    someLongName @2;
  }

  struct Builder {
    inner @0 :Int32;
  }
}

struct Box(T) {
  value @0 :T;
}

struct Crew {
  members @0 :List(Sailor);
  anyone @1 :Capability;
  named :group {
    captain @2 :Sailor;
  }
  box @3 :Box(Text);
}

interface Sailor {
  name @0 () -> (name :Text);
  wait @1 (crew :Crew) -> (crew :Crew);
}

interface Officer extends (Sailor) {
  order @0 (class :Text, to :Sailor) -> (done :Text);
}

interface Both extends (Officer, Sailor) {}

interface Relay {
  pass @0 (object :AnyPointer) -> (object :AnyPointer);
}
