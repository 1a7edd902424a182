package org.shipmate;

import java.time.Duration;
import java.util.concurrent.CancellationException;
import org.capnproto.StructFactory;
import org.capnproto.StructReader;
import org.shipmate.MessageTransport.Listening;

/** Waits for the senders of typed messages, at any address. */
public final class MessageListener<R extends StructReader> implements AutoCloseable {
  private final Listening listening;
  private final StructFactory<?, R> type;

  private MessageListener(Listening listening, StructFactory<?, R> type) {
    this.listening = listening;
    this.type = type;
  }

  /**
   * Listens. {@code tcp:HOST:0} asks for any free port; {@link #address} tells which.
   *
   * @throws AddressException when the address cannot be understood
   * @throws UnreachableException when the address cannot be had
   */
  public static <R extends StructReader> MessageListener<R> listen(
      String address, StructFactory<?, R> type) {
    return listen(address, type, MessageOptions.DEFAULT);
  }

  /** Listens with other options. */
  public static <R extends StructReader> MessageListener<R> listen(
      String address, StructFactory<?, R> type, MessageOptions options) {
    return new MessageListener<>(MessageTransport.listen(address, options), type);
  }

  /** Where it listens, with the port that the system chose. */
  public String address() {
    return listening.address();
  }

  /**
   * Waits for the next sender. At a {@code pipe:} address this does not wait: the first message
   * does.
   *
   * @throws DisconnectedException when this is closed meanwhile
   * @throws CancellationException when the thread is interrupted, which it then stays; the next
   *     call goes on
   */
  public MessageReceiver<R> accept() {
    return accept(Patience.forEver());
  }

  /**
   * Waits no longer than this.
   *
   * @throws DeadlineException when no sender has come; the next call goes on
   */
  public MessageReceiver<R> accept(Duration atMost) {
    return accept(Patience.of(atMost));
  }

  @Override
  public void close() {
    listening.close();
  }

  private MessageReceiver<R> accept(Patience patience) {
    return new MessageReceiver<>(listening.accept(patience), type);
  }
}
