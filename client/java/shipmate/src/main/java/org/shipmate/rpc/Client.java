package org.shipmate.rpc;

import java.util.Optional;
import java.util.concurrent.CancellationException;
import java.util.function.Consumer;
import java.util.function.Function;
import org.capnproto.StructFactory;
import org.capnproto.StructReader;
import org.shipmate.ShipmateException;

/**
 * A reference to an object that may be anywhere, whatever its interface. It may be used by any
 * thread.
 *
 * <p>Closing it gives the reference back, so that the object may end; one that is forgotten is
 * given back when it is garbage.
 */
public class Client implements AutoCloseable {
  /** An object of an unknown interface. */
  public static final InterfaceFactory<Client> factory = new InterfaceFactory<>(Client::new);

  private final Reference reference;

  protected Client(Reference reference) {
    this.reference = reference;
  }

  /**
   * The same object as one of another interface. Nothing is asked: a method it lacks is missing.
   */
  public final <C extends Client> C as(InterfaceFactory<C> type) {
    return type.create(_copyReference());
  }

  /** Whether both refer to the very same object, as far as is known yet. */
  public final boolean isSame(Client other) {
    return reference.capability().resolved() == other.reference.capability().resolved();
  }

  /** The server, where the object is one of this process. */
  public final Optional<Server> server() {
    return reference.capability().resolved() instanceof LocalObject object
        ? Optional.of(object.server)
        : Optional.empty();
  }

  @Override
  public final void close() {
    reference.close();
  }

  final Reference reference() {
    return reference;
  }

  /** For generated code. */
  protected final Reference _copyReference() {
    return reference.copy();
  }

  /** Starts a call. For generated code. */
  protected final <B, R extends StructReader, P> Call<R, P> _call(
      long interfaceId,
      int method,
      StructFactory<B, ?> params,
      Consumer<B> fill,
      StructFactory<?, R> results,
      Function<Pipeline, P> pipeline) {
    Capability capability = reference.capability();
    CallMessage call = CallMessage.build(interfaceId, method, params, fill);
    capability.awaitRoom();
    ShipmateException lost = capability.streamError();
    Pending pending = lost == null ? capability.call(call) : Pending.failed(lost);
    // Else the object could be given back before the call is on its way.
    java.lang.ref.Reference.reachabilityFence(reference);
    return new Call<>(pending, results, pipeline);
  }

  /** Starts a call that is a part of a stream, when there is room for it. For generated code. */
  protected final <B> void _stream(
      long interfaceId, int method, StructFactory<B, ?> params, Consumer<B> fill) {
    Capability capability = reference.capability();
    CallMessage call = CallMessage.build(interfaceId, method, params, fill);
    StreamWindow window = capability.stream();
    long bytes = call.bytes();
    try {
      Turns.await(window.acquire(bytes));
    } catch (InterruptedException e) {
      window.answered(bytes, null);
      call.discard();
      Thread.currentThread().interrupt();
      throw new CancellationException("the thread was interrupted");
    }
    if (window.error() != null) {
      window.answered(bytes, null);
      call.discard();
      throw window.error().rethrown();
    }
    capability
        .call(call)
        .response
        .whenComplete(
            (response, error) -> {
              window.answered(bytes, error == null ? null : Errors.forStream(error));
            });
    java.lang.ref.Reference.reachabilityFence(reference);
  }
}
