package org.shipmate;

import java.nio.ByteBuffer;
import java.util.function.Consumer;
import org.capnproto.MessageBuilder;
import org.capnproto.StructFactory;
import org.shipmate.MessageTransport.Lending;
import org.shipmate.MessageTransport.Sending;
import org.shipmate.rpc.Limits;

/**
 * Sends typed messages one way, one after the other, to any address. A slow receiver makes it wait,
 * and so does closing it meanwhile; an interrupt of the thread ends neither.
 *
 * <p>Closing it ends the stream: the receiver gets all that was sent, and then the end.
 *
 * @param <B> the builder of the messages' type
 */
public final class MessageSender<B> implements AutoCloseable {
  private final Lending sending;
  private final StructFactory<B, ?> type;

  private MessageSender(Lending sending, StructFactory<B, ?> type) {
    this.sending = sending;
    this.type = type;
  }

  /**
   * Connects to a receiver.
   *
   * @throws AddressException when the address cannot be understood
   * @throws UnreachableException when nobody receives there
   */
  public static <B> MessageSender<B> connect(String address, StructFactory<B, ?> type) {
    return connect(address, type, MessageOptions.DEFAULT);
  }

  /**
   * Connects with other options. At {@code pipe:} and {@code shm:} addresses it waits until the
   * receiver is there and accepts.
   */
  public static <B> MessageSender<B> connect(
      String address, StructFactory<B, ?> type, MessageOptions options) {
    return new MessageSender<>(MessageTransport.connect(address, options), type);
  }

  /**
   * Builds a message and sends it.
   *
   * @throws LimitException when it is too large
   * @throws DisconnectedException when the receiver is gone
   */
  public void send(Consumer<B> fill) {
    MessageBuilder message = new MessageBuilder();
    fill.accept(message.initRoot(type));
    send(sending, message.getSegmentsForOutput());
  }

  /**
   * Lends memory to build a message in. Over shared memory, 32 KiB and more are memory that the
   * receiver sees, and sending it copies nothing, if both sides take {@link Tier#TRUSTED}.
   *
   * @param bytes what the message may need, or somewhat more
   * @throws LimitException when that is too large for a message
   */
  public MessageLoan<B> loan(int bytes) {
    if (bytes < 0) {
      throw new IllegalArgumentException("a loan of " + bytes + " bytes");
    }
    checkSize(bytes);
    int words = Math.max(1, (bytes + MessageTransport.WORD - 1) / MessageTransport.WORD);
    return new MessageLoan<>(sending, sending.lend(words * MessageTransport.WORD), type);
  }

  @Override
  public void close() {
    sending.close();
  }

  /** Sends what a receiver takes. */
  static void send(Sending to, ByteBuffer[] segments) {
    long bytes = 0;
    for (ByteBuffer segment : segments) {
      bytes += segment.remaining();
    }
    checkSize(bytes);
    to.send(segments);
  }

  private static void checkSize(long bytes) {
    int bytesMax = Limits.DEFAULT.frameBytesMax();
    if (bytes > bytesMax) {
      throw new LimitException(
          "a message of " + bytes + " bytes, and " + bytesMax + " are allowed: send several");
    }
  }
}
