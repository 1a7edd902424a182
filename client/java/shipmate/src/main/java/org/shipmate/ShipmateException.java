package org.shipmate;

/** What can go wrong. Programs go by the type, never by the text. */
public abstract sealed class ShipmateException extends RuntimeException
    permits AddressException,
        DeadlineException,
        DisconnectedException,
        LimitException,
        ServiceException,
        UnreachableException {
  private static final long serialVersionUID = 1;

  ShipmateException(String message, Throwable cause) {
    super(message, cause);
  }

  /** The same error with the stack of the caller, for one that came up in another thread. */
  public abstract ShipmateException rethrown();
}
