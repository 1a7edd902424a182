package org.shipmate;

/** The connection is gone: closed, died, lost. Every pending call gets it at once. */
public final class DisconnectedException extends ShipmateException {
  private static final long serialVersionUID = 1;

  public DisconnectedException(String message) {
    super(message, null);
  }

  public DisconnectedException(String message, Throwable cause) {
    super(message, cause);
  }

  @Override
  public DisconnectedException rethrown() {
    return new DisconnectedException(getMessage(), this);
  }
}
