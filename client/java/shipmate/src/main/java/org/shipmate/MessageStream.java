package org.shipmate;

import java.time.Duration;
import java.util.Optional;
import java.util.concurrent.CancellationException;
import org.capnproto.StructFactory;
import org.capnproto.StructReader;
import org.shipmate.MessageTransport.Received;
import org.shipmate.MessageTransport.Receiving;
import org.shipmate.rpc.MessageArena;

/**
 * Messages that arrive, in order. A wait that ends early, by its time or by an interrupt, loses
 * none of them.
 *
 * @param <R> the reader of the messages' type
 */
public abstract sealed class MessageStream<R extends StructReader> implements AutoCloseable
    permits MessageReceiver, MessageSubscriber {
  private final Receiving receiving;
  private final StructFactory<?, R> type;

  MessageStream(Receiving receiving, StructFactory<?, R> type) {
    this.receiving = receiving;
    this.type = type;
  }

  /**
   * Waits for the next message, which is this program's for as long as it likes. It is empty when
   * the other side has ended the stream.
   *
   * @throws DisconnectedException when the other side is gone without having ended it, or sends
   *     what is no message or a larger one than is allowed; or when this is closed meanwhile
   * @throws CancellationException when the thread is interrupted, which it then stays
   */
  public Optional<R> receive() {
    return owned(next(Patience.forEver()));
  }

  /**
   * Waits no longer than this.
   *
   * @throws DeadlineException when nothing has come
   */
  public Optional<R> receive(Duration atMost) {
    return owned(next(Patience.of(atMost)));
  }

  /**
   * Waits for the next message, which is lent and must be closed. Large parts of it are not copied
   * but read where they came: over shared memory, where the sender has written them, if the tier
   * says so. The errors are those of {@link #receive()}.
   */
  public Optional<LentMessage<R>> receiveLent() {
    return lent(next(Patience.forEver()));
  }

  /**
   * Waits no longer than this.
   *
   * @throws DeadlineException when nothing has come
   */
  public Optional<LentMessage<R>> receiveLent(Duration atMost) {
    return lent(next(Patience.of(atMost)));
  }

  /** Receives no more. Messages that are lent stay. */
  @Override
  public void close() {
    receiving.close();
  }

  private Received next(Patience patience) {
    return receiving.next(patience);
  }

  private Optional<R> owned(Received next) {
    return Optional.ofNullable(next).map(message -> new MessageArena(message.owned()).root(type));
  }

  private Optional<LentMessage<R>> lent(Received next) {
    return Optional.ofNullable(next).map(message -> new LentMessage<>(message, type));
  }
}
