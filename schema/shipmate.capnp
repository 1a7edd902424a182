@0x80fb20560ffdc325;
# The front door of `shipmated`: what a connection gets as its bootstrap unless the listener was
# opened for one service alone (`--listen ADDRESS=SERVICE`).

interface Shipmate {
  info @0 () -> (info :ServerInfo);
  # What this server is, what it allows and how long it has been up.

  list @1 () -> (services :List(ServiceInfo));
  # Every service that `get` knows, sorted by name.

  get @2 (name :Text) -> (found :Bool, service :Capability);
  # A service by its name. `found` is false, and `service` null, when there is none of that name.
  # Calls may be pipelined on `service` without waiting for the reply.

  ping @3 (payload :Data) -> (payload :Data);
  # Gives back what it was given: a round trip to measure, of any size.
}

struct ServerInfo {
  version @0 :Text;
  # Shipmate's version, as in "0.1.0".

  processId @1 :UInt32;
  # On the server's own machine.

  uptimeMillis @2 :UInt64;
  # Since the server began to serve.

  limits @3 :Limits;
  # What one connection may use.

  connections @4 :UInt32;
  # Open now, this one included.

  shards @5 :UInt16;
  # Threads that serve connections.
}

struct Limits {
  frameBytesMax @0 :UInt64;
  # The largest message that is accepted.

  segmentsMax @1 :UInt32;
  # The most segments in one message.

  callsInFlightMax @2 :UInt32;
  # Calls that one connection may have unanswered; beyond it the server stops reading calls.

  outgoingBytesMax @3 :UInt64;
  # Replies that may wait for a slow reader; beyond it the server stops reading calls.

  connectionsMax @4 :UInt32;
  # Connections that the server accepts at once; further ones wait.
}

struct ServiceInfo {
  name @0 :Text;
  # What `get` and `--listen ADDRESS=NAME` take.

  description @1 :Text;
  # One sentence.

  interfaceId @2 :UInt64;
  # The Cap'n Proto id of the interface that the service implements.
}
