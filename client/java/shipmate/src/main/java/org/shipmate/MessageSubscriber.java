package org.shipmate;

import org.capnproto.StructFactory;
import org.capnproto.StructReader;

/**
 * The messages that a {@link MessagePublisher} publishes from now on, each of which is copied once.
 * It ends with the publisher.
 *
 * @param <R> the reader of the messages' type
 */
public final class MessageSubscriber<R extends StructReader> extends MessageStream<R> {
  private final LibraryMessages.Subscriber receiving;

  private MessageSubscriber(LibraryMessages.Subscriber receiving, StructFactory<?, R> type) {
    super(receiving, type);
    this.receiving = receiving;
  }

  /**
   * Subscribes.
   *
   * @throws AddressException when the address cannot be understood, or is no {@code shm:/path}
   * @throws UnreachableException when nobody publishes there
   */
  public static <R extends StructReader> MessageSubscriber<R> connect(
      String address, StructFactory<?, R> type, Policy policy) {
    return connect(address, type, policy, MessageOptions.DEFAULT);
  }

  /** Subscribes with other options. */
  public static <R extends StructReader> MessageSubscriber<R> connect(
      String address, StructFactory<?, R> type, Policy policy, MessageOptions options) {
    Address.parse(address);
    return Jna.use(
        () ->
            new MessageSubscriber<>(
                new LibraryMessages.Subscriber(address, policy, options), type));
  }

  /**
   * How many messages were lost since it began, before the one that was received last: an exact
   * count, 0 for who blocks.
   */
  public long lost() {
    return receiving.lost();
  }
}
