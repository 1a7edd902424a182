package org.shipmate;

import java.time.Duration;
import java.util.concurrent.CancellationException;
import java.util.function.Consumer;
import org.capnproto.MessageBuilder;
import org.capnproto.StructFactory;

/**
 * Publishes typed messages to any number of {@link MessageSubscriber}s at a {@code shm:} address.
 * Each is written once, into a ring of shared memory that all of them see.
 *
 * <p>Closing it ends the stream: subscribers get what was published, and then the end.
 *
 * @param <B> the builder of the messages' type
 */
public final class MessagePublisher<B> implements AutoCloseable {
  /** The size of a ring, unless another is chosen. */
  public static final int RING_BYTES = 4 << 20;

  private final LibraryMessages.Publisher publishing;
  private final StructFactory<B, ?> type;

  private MessagePublisher(LibraryMessages.Publisher publishing, StructFactory<B, ?> type) {
    this.publishing = publishing;
    this.type = type;
  }

  /**
   * Listens for subscribers.
   *
   * @throws AddressException when the address cannot be understood, or is no {@code shm:/path}
   * @throws UnreachableException when the address cannot be had
   */
  public static <B> MessagePublisher<B> listen(String address, StructFactory<B, ?> type) {
    return listen(address, type, RING_BYTES, MessageOptions.DEFAULT);
  }

  /**
   * Listens with other options.
   *
   * @param ringBytes a power of two from 4096 to 2^30; a message may have a quarter of it
   * @throws IllegalArgumentException when the ring cannot be of that size
   */
  public static <B> MessagePublisher<B> listen(
      String address, StructFactory<B, ?> type, int ringBytes, MessageOptions options) {
    Address.parse(address);
    return Jna.use(
        () ->
            new MessagePublisher<>(
                new LibraryMessages.Publisher(address, ringBytes, options), type));
  }

  /**
   * Waits until there are so many subscribers.
   *
   * @throws CancellationException when the thread is interrupted, which it then stays
   */
  public void awaitSubscribers(int count) {
    publishing.await(count, Patience.forEver());
  }

  /**
   * Waits no longer than this.
   *
   * @throws DeadlineException when there are fewer
   */
  public void awaitSubscribers(int count, Duration atMost) {
    publishing.await(count, Patience.of(atMost));
  }

  /**
   * Builds a message and publishes it to all who have subscribed. It waits for those that have not
   * read enough and chose {@link Policy#BLOCK}, and no interrupt ends that.
   *
   * @throws LimitException when it is too large for the ring
   */
  public void publish(Consumer<B> fill) {
    MessageBuilder message = new MessageBuilder();
    fill.accept(message.initRoot(type));
    publishing.send(message.getSegmentsForOutput());
  }

  @Override
  public void close() {
    publishing.close();
  }
}
