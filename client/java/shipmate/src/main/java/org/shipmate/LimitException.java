package org.shipmate;

/**
 * What was to be sent is larger than is allowed; the text names the limit. Nothing was sent, and
 * the sender goes on.
 */
public final class LimitException extends ShipmateException {
  private static final long serialVersionUID = 1;

  public LimitException(String message) {
    super(message, null);
  }

  private LimitException(LimitException cause) {
    super(cause.getMessage(), cause);
  }

  @Override
  public LimitException rethrown() {
    return new LimitException(this);
  }
}
