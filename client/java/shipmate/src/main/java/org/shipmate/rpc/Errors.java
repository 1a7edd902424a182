package org.shipmate.rpc;

import java.util.concurrent.CancellationException;
import java.util.concurrent.CompletionException;
import org.capnproto.DecodeException;
import org.shipmate.DisconnectedException;
import org.shipmate.ServiceException;
import org.shipmate.ShipmateException;

/** Exceptions on the wire and back. */
final class Errors {
  private static final String PREFIX = "remote exception: ";

  private Errors() {}

  static ShipmateException read(RpcSchema.Exception.Reader exception) {
    String reason = exception.getReason().toString();
    while (reason.startsWith(PREFIX)) {
      reason = reason.substring(PREFIX.length());
    }
    return switch (exception.getType()) {
      case DISCONNECTED -> new DisconnectedException(reason);
      case OVERLOADED -> new ServiceException(ServiceException.Kind.OVERLOADED, reason);
      case UNIMPLEMENTED -> new ServiceException(ServiceException.Kind.UNIMPLEMENTED, reason);
      default -> new ServiceException(ServiceException.Kind.FAILED, reason);
    };
  }

  static void write(Throwable error, RpcSchema.Exception.Builder to) {
    String reason = error.getMessage();
    to.setReason(
        reason == null || !(error instanceof ShipmateException) ? error.toString() : reason);
    to.setType(type(error));
  }

  /** What the caller of a call gets: one of ours, or a cancellation. */
  static RuntimeException forCaller(Throwable error) {
    Throwable cause =
        error instanceof CompletionException && error.getCause() != null ? error.getCause() : error;
    if (cause instanceof ShipmateException known) {
      return known;
    }
    if (cause instanceof CancellationException cancelled) {
      return cancelled;
    }
    String reason = cause instanceof DecodeException ? "the answer is damaged: " : "";
    return new ServiceException(ServiceException.Kind.FAILED, reason + cause.getMessage());
  }

  /** What the next writer to a stream gets that has failed. */
  static ShipmateException forStream(Throwable error) {
    return forCaller(error) instanceof ShipmateException known
        ? known
        : new ServiceException(ServiceException.Kind.FAILED, "a part of the stream was cancelled");
  }

  private static RpcSchema.Exception.Type type(Throwable error) {
    if (error instanceof DisconnectedException) {
      return RpcSchema.Exception.Type.DISCONNECTED;
    }
    if (error instanceof ServiceException service) {
      return switch (service.kind()) {
        case FAILED -> RpcSchema.Exception.Type.FAILED;
        case OVERLOADED -> RpcSchema.Exception.Type.OVERLOADED;
        case UNIMPLEMENTED -> RpcSchema.Exception.Type.UNIMPLEMENTED;
      };
    }
    return RpcSchema.Exception.Type.FAILED;
  }
}
