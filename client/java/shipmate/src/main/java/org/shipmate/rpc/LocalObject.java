package org.shipmate.rpc;

/** An object of this process. */
final class LocalObject extends Capability {
  final Server server;
  private final Turns turns = new Turns();

  LocalObject(Server server) {
    this.server = server;
  }

  @Override
  Pending call(CallMessage call) {
    Incoming incoming = new Incoming(call);
    turns.execute(() -> incoming.run(server));
    return incoming.pending();
  }

  @Override
  void released() {
    turns.execute(server::released);
  }
}
