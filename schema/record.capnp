@0xa02be376b6a1294d;
# The record that `shipmate send` and `shipmate recv` move and that mailboxes hold.

struct Record {
  name @0 :Text;
  value @1 :Int64;
  # The guide's own pair.

  tags @2 :List(Text);
  position @3 :Position;
  readings @4 :List(Reading);

  body :union {
    none @5 :Void;
    text @6 :Text;
    number @7 :Float64;
    bytes @8 :Data;
  }
}

struct Position {
  latitude @0 :Float64;
  longitude @1 :Float64;
  # Degrees, north and east positive.
}

struct Reading {
  sensor @0 :Text;
  timeMillis @1 :Int64;
  # Since the Unix epoch.
  values @2 :List(Float64);
}
