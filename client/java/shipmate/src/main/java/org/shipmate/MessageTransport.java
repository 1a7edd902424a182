package org.shipmate;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Arrays;

/** What carries messages: Java's own sockets where it has them, else the C library. */
final class MessageTransport {
  static final int WORD = 8;

  private MessageTransport() {}

  /** Where messages are sent to. A slow receiver makes it wait, whatever the thread is told. */
  interface Sending {
    /** Sends the segments of a message, which are the caller's again afterwards. */
    void send(ByteBuffer[] segments);

    void close();
  }

  /** Where memory can be had too, to build messages in. */
  interface Lending extends Sending {
    Loan lend(int bytes);
  }

  /** Memory of zeros, to be given back by one of the two functions. */
  interface Loan {
    /** Little-endian, and in whole words. */
    ByteBuffer memory();

    /** Sends the first bytes, in whole words. */
    void publish(int used);

    /** Sends nothing. Does nothing when the loan is gone. */
    void cancel();
  }

  /** Where senders come from. */
  interface Listening {
    String address();

    Receiving accept(Patience patience);

    void close();
  }

  /** Where messages come from. */
  interface Receiving {
    /** The next message, or null at the end. */
    Received next(Patience patience);

    void close();
  }

  /**
   * The segments of a message.
   *
   * @param segments little-endian
   * @param giveBack what is to be done when they are not read any more; null when they are this
   *     program's
   */
  record Received(ByteBuffer[] segments, Runnable giveBack) {
    /** The segments for as long as anybody has them: copies, if they are lent. */
    ByteBuffer[] owned() {
      if (giveBack == null) {
        return segments;
      }
      try {
        return Arrays.stream(segments).map(Received::copy).toArray(ByteBuffer[]::new);
      } finally {
        giveBack.run();
      }
    }

    private static ByteBuffer copy(ByteBuffer segment) {
      ByteBuffer copy = ByteBuffer.allocate(segment.remaining());
      return copy.put(segment.duplicate()).flip().order(ByteOrder.LITTLE_ENDIAN);
    }
  }

  static Lending connect(String address, MessageOptions options) {
    if (Address.parse(address) instanceof Address.Socket socket) {
      try {
        return new SocketMessages.Sender(Sockets.connect(socket, options.timeout()));
      } catch (IOException e) {
        throw new UnreachableException("nobody receives at " + address + ": " + e.getMessage(), e);
      }
    }
    return Jna.use(() -> new LibraryMessages.Sender(address, options));
  }

  static Listening listen(String address, MessageOptions options) {
    if (Address.parse(address) instanceof Address.Socket socket) {
      try {
        return SocketMessages.Listener.open(socket);
      } catch (IOException e) {
        throw new UnreachableException("cannot listen at " + address + ": " + e.getMessage(), e);
      }
    }
    return Jna.use(() -> new LibraryMessages.Listener(address, options));
  }
}
