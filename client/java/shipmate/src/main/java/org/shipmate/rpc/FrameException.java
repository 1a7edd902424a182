package org.shipmate.rpc;

import java.io.IOException;

/** Bytes that are no Cap'n Proto message, or one that is larger than allowed. */
public final class FrameException extends IOException {
  private static final long serialVersionUID = 1;

  FrameException(String message) {
    super(message);
  }
}
