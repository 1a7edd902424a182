package org.shipmate;

/** The address cannot be understood; the text shows the right form. */
public final class AddressException extends ShipmateException {
  private static final long serialVersionUID = 1;

  public AddressException(String message) {
    super(message, null);
  }

  private AddressException(AddressException cause) {
    super(cause.getMessage(), cause);
  }

  @Override
  public AddressException rethrown() {
    return new AddressException(this);
  }
}
