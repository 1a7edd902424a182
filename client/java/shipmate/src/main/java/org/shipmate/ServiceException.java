package org.shipmate;

/**
 * The service answered with an exception. A server throws it to say of what kind its own is; all
 * else that it throws is {@link Kind#FAILED}.
 */
public final class ServiceException extends ShipmateException {
  private static final long serialVersionUID = 1;

  /** What a caller may do about it. */
  public enum Kind {
    /** It will fail again. */
    FAILED,
    /** It may work later. */
    OVERLOADED,
    /** The method is not there. */
    UNIMPLEMENTED
  }

  private final Kind kind;

  public ServiceException(Kind kind, String reason) {
    super(reason, null);
    this.kind = kind;
  }

  private ServiceException(ServiceException cause) {
    super(cause.getMessage(), cause);
    this.kind = cause.kind;
  }

  public Kind kind() {
    return kind;
  }

  /** What the service wrote, and no more. */
  public String reason() {
    return getMessage();
  }

  @Override
  public ServiceException rethrown() {
    return new ServiceException(this);
  }
}
