@0xe4d3a1f0b5c26797;
# What is asked of every peer that has Cap'n Proto's types; peer.proto says the same in Protobuf's.

interface Peer {
  multiply @0 (a :Int64, b :Int64) -> (product :Int64);

  take @1 (blob :Data) -> (sum :UInt64);
  # The sum of one byte in each 4096, so that every page of the argument is seen.
}

struct Record {
  name @0 :Text;
  value @1 :Int64;
  blob @2 :Data;
}
