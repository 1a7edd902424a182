package org.shipmate;

/** Nobody answers at the address. */
public final class UnreachableException extends ShipmateException {
  private static final long serialVersionUID = 1;

  public UnreachableException(String message, Throwable cause) {
    super(message, cause);
  }

  @Override
  public UnreachableException rethrown() {
    return new UnreachableException(getMessage(), this);
  }
}
