package org.shipmate;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import org.capnproto.MessageBuilder;
import org.capnproto.StructFactory;
import org.shipmate.MessageTransport.Lending;
import org.shipmate.MessageTransport.Loan;

/**
 * Memory of a {@link MessageSender} in which a message is built, once: by {@link #root}, or as
 * bytes in {@link #memory}. Then it is sent; closing it before that gives it back unsent. It is not
 * for several threads at once.
 *
 * <p>Afterwards the memory is another's. Its builder, and what was got from that, throw {@link
 * IndexOutOfBoundsException} or {@link IllegalArgumentException} then; buffers that were made of
 * the memory, as {@code asByteBuffer()} makes them, must not be used.
 *
 * @param <B> the builder of the message's type
 */
public final class MessageLoan<B> implements AutoCloseable {
  private final Lending sender;
  private final Loan loan;
  private final StructFactory<B, ?> type;

  /** What was handed out, to be disabled. */
  private final ByteBuffer memory;

  private final ByteBuffer firstSegment;
  private MessageBuilder message;
  private boolean gone;

  MessageLoan(Lending sender, Loan loan, StructFactory<B, ?> type) {
    this.sender = sender;
    this.loan = loan;
    this.type = type;
    this.memory = loan.memory().duplicate().order(ByteOrder.LITTLE_ENDIAN);
    this.firstSegment = loan.memory().duplicate().order(ByteOrder.LITTLE_ENDIAN);
  }

  /**
   * Starts to build a message here. What does not fit goes on elsewhere, and all of it is then
   * copied when it is sent.
   */
  public B root() {
    checkThere();
    if (message != null) {
      throw new IllegalStateException("a loan is for one message, which was started already");
    }
    message = new MessageBuilder(firstSegment);
    return message.initRoot(type);
  }

  /** The memory, little-endian and all zero at first, for a message that is written as bytes. */
  public ByteBuffer memory() {
    checkThere();
    return memory;
  }

  /**
   * Sends what was built by {@link #root}.
   *
   * @throws LimitException when it is too large
   * @throws DisconnectedException when the receiver is gone
   */
  public void send() {
    checkThere();
    if (message == null) {
      throw new IllegalStateException("nothing was built: ask for root(), or say send(bytes)");
    }
    ByteBuffer[] segments = message.getSegmentsForOutput();
    try (this) {
      if (segments.length == 1) {
        loan.publish(segments[0].remaining());
      } else {
        MessageSender.send(sender, segments);
      }
    }
  }

  /**
   * Sends the first bytes of {@link #memory}, in whole words, as a message of one segment: its
   * first word is the pointer to the root.
   *
   * @throws DisconnectedException when the receiver is gone
   */
  public void send(int bytes) {
    checkThere();
    if (bytes < 1 || bytes > memory.capacity()) {
      throw new IllegalArgumentException(
          bytes + " bytes of a loan of " + memory.capacity() + " cannot be sent");
    }
    int words = (bytes + MessageTransport.WORD - 1) / MessageTransport.WORD;
    try (this) {
      loan.publish(words * MessageTransport.WORD);
    }
  }

  /** Gives the memory back, if it was not sent. */
  @Override
  public void close() {
    if (!gone) {
      gone = true;
      memory.limit(0);
      firstSegment.limit(0);
      loan.cancel();
    }
  }

  private void checkThere() {
    if (gone) {
      throw new IllegalStateException("this loan was sent or given back");
    }
  }
}
