package org.shipmate.rpc;

/** The peer has sent what the protocol does not allow. It costs it the connection. */
final class ProtocolException extends RuntimeException {
  private static final long serialVersionUID = 1;

  ProtocolException(String message) {
    super(message);
  }
}
