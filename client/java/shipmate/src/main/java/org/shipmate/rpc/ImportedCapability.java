package org.shipmate.rpc;

/** An object of the peer, or one of which the peer will say later what it is. */
final class ImportedCapability extends RemoteCapability {
  final int id;

  /** How often the peer has sent it, and so is to be told that it was released. */
  int remoteReferences = 1;

  ImportedCapability(Session session, int id) {
    super(session);
    this.id = id;
  }

  @Override
  void address(RpcSchema.MessageTarget.Builder to) {
    to.setImportedCap(id);
  }

  @Override
  void released() {
    session.released(this);
  }
}
