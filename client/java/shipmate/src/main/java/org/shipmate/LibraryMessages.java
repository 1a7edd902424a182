package org.shipmate;

import com.sun.jna.Memory;
import com.sun.jna.Native;
import com.sun.jna.Pointer;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import org.shipmate.MessageTransport.Lending;
import org.shipmate.MessageTransport.Listening;
import org.shipmate.MessageTransport.Loan;
import org.shipmate.MessageTransport.Received;
import org.shipmate.MessageTransport.Receiving;
import org.shipmate.MessageTransport.Sending;

/** Messages over every address, through the C library. */
final class LibraryMessages {
  // struct shipmate_segment
  private static final int SEGMENT_BYTES = 16;
  private static final int SIZE_OFFSET = 8;

  // struct shipmate_message
  private static final int SEGMENTS_OFFSET = 8;

  private LibraryMessages() {}

  static final class Sender implements Lending {
    private final Handle handle;
    private final Outgoing outgoing = new Outgoing();

    Sender(String address, MessageOptions options) {
      this.handle =
          new Handle(LibShipmate.open(LibShipmate::shipmate_sender_open, address, options));
    }

    @Override
    public void send(ByteBuffer[] segments) {
      handle.use(sender -> outgoing.give(segments, LibShipmate::shipmate_sender_send, sender));
    }

    @Override
    public Loan lend(int bytes) {
      Memory results = LibShipmate.results();
      Pointer memory = results.share(Native.POINTER_SIZE);
      handle.use(
          sender ->
              LibShipmate.checked(
                  error ->
                      LibShipmate.shipmate_sender_loan(sender, bytes, results, memory, error)));
      return new SharedLoan(handle, results.getPointer(0), buffer(memory.getPointer(0), bytes));
    }

    @Override
    public void close() {
      handle.close(
          sender -> LibShipmate.checked(error -> LibShipmate.shipmate_sender_close(sender, error)));
    }
  }

  private static final class SharedLoan implements Loan {
    private final Handle sender;
    private final ByteBuffer memory;

    /** Null when it is gone. */
    private Pointer loan;

    SharedLoan(Handle sender, Pointer loan, ByteBuffer memory) {
      this.sender = sender;
      this.loan = loan;
      this.memory = memory;
    }

    @Override
    public ByteBuffer memory() {
      return memory;
    }

    @Override
    public void publish(int used) {
      try {
        sender.use(
            open -> {
              Pointer given = loan;
              loan = null;
              return LibShipmate.checked(
                  error -> LibShipmate.shipmate_loan_publish(given, used, error));
            });
      } finally {
        cancel();
      }
    }

    @Override
    public void cancel() {
      LibShipmate.shipmate_loan_cancel(loan);
      loan = null;
    }
  }

  /** One to many. */
  static final class Publisher implements Sending {
    private final Handle handle;
    private final Outgoing outgoing = new Outgoing();

    Publisher(String address, int ringBytes, MessageOptions options) {
      this.handle =
          new Handle(
              LibShipmate.open(
                  (text, given, place, error) ->
                      LibShipmate.shipmate_publisher_open(text, ringBytes, given, place, error),
                  address,
                  options));
    }

    void await(int subscribers, Patience patience) {
      LibShipmate.await(
          handle,
          (publisher, millis, nothing, error) ->
              LibShipmate.shipmate_publisher_wait(publisher, subscribers, millis, error),
          patience,
          "fewer than " + subscribers + " subscribers");
    }

    @Override
    public void send(ByteBuffer[] segments) {
      handle.use(
          publisher -> outgoing.give(segments, LibShipmate::shipmate_publisher_publish, publisher));
    }

    @Override
    public void close() {
      handle.close(
          publisher ->
              LibShipmate.checked(error -> LibShipmate.shipmate_publisher_close(publisher, error)));
    }
  }

  static final class Listener implements Listening {
    private final Handle handle;
    private final String address;

    Listener(String address, MessageOptions options) {
      Pointer listener = LibShipmate.open(LibShipmate::shipmate_receiver_listen, address, options);
      this.handle = new Handle(listener);
      this.address = LibShipmate.shipmate_listener_address(listener).getString(0, "UTF-8");
    }

    @Override
    public String address() {
      return address;
    }

    @Override
    public Receiving accept(Patience patience) {
      return new Receiver(
          LibShipmate.await(handle, LibShipmate::shipmate_receiver_accept, patience, "no sender"));
    }

    @Override
    public void close() {
      handle.close(LibShipmate::shipmate_listener_close);
    }
  }

  static final class Receiver implements Receiving {
    private final Handle handle;

    Receiver(Pointer receiver) {
      this.handle = new Handle(receiver);
    }

    @Override
    public Received next(Patience patience) {
      return LibraryMessages.next(handle, LibShipmate::shipmate_receiver_receive, patience);
    }

    @Override
    public void close() {
      handle.close(LibShipmate::shipmate_receiver_close);
    }
  }

  /** What a publisher publishes. */
  static final class Subscriber implements Receiving {
    private final Handle handle;
    private volatile long lost;

    Subscriber(String address, Policy policy, MessageOptions options) {
      this.handle =
          new Handle(
              LibShipmate.open(
                  (text, given, place, error) ->
                      LibShipmate.shipmate_subscriber_open(
                          text, policy.number, given, place, error),
                  address,
                  options));
    }

    @Override
    public Received next(Patience patience) {
      return LibraryMessages.next(handle, this::receive, patience);
    }

    /** How many were lost in all before the message that was received last. */
    long lost() {
      return lost;
    }

    @Override
    public void close() {
      handle.close(LibShipmate::shipmate_subscriber_close);
    }

    private int receive(Pointer subscriber, int millis, Pointer place, Pointer error) {
      int result = LibShipmate.shipmate_subscriber_receive(subscriber, millis, place, error);
      // Here, because it would wait for who waits for a message.
      lost = LibShipmate.shipmate_subscriber_lost(subscriber);
      return result;
    }
  }

  /** Puts the segments of messages where the library reads them. One thread at a time. */
  private static final class Outgoing {
    /** Larger messages get memory of their own. */
    private static final int KEPT_BYTES = 64 << 10;

    private final Memory kept = new Memory(KEPT_BYTES);
    private final ByteBuffer keptBytes = kept.getByteBuffer(0, KEPT_BYTES);

    interface Send {
      int call(Pointer object, Pointer segments, long segmentCount, Pointer error);
    }

    int give(ByteBuffer[] segments, Send send, Pointer to) {
      int bytes = segments.length * SEGMENT_BYTES;
      for (ByteBuffer segment : segments) {
        bytes = Math.addExact(bytes, segment.remaining());
      }
      if (bytes <= KEPT_BYTES) {
        place(segments, kept, keptBytes);
        return give(kept, segments.length, send, to);
      }
      try (Memory memory = new Memory(bytes)) {
        place(segments, memory, memory.getByteBuffer(0, bytes));
        return give(memory, segments.length, send, to);
      }
    }

    private static int give(Memory memory, int segmentCount, Send send, Pointer to) {
      return LibShipmate.checked(error -> send.call(to, memory, segmentCount, error));
    }

    /** The table of segments, and then each of them. */
    private static void place(ByteBuffer[] segments, Memory memory, ByteBuffer bytes) {
      int place = segments.length * SEGMENT_BYTES;
      for (int i = 0; i < segments.length; i++) {
        ByteBuffer segment = segments[i];
        long entry = (long) i * SEGMENT_BYTES;
        memory.setLong(entry, Pointer.nativeValue(memory) + place);
        memory.setLong(entry + SIZE_OFFSET, segment.remaining());
        bytes.put(place, segment, segment.position(), segment.remaining());
        place += segment.remaining();
      }
    }
  }

  private static Received next(Handle handle, LibShipmate.Wait receive, Patience patience) {
    Pointer message;
    try {
      message = LibShipmate.await(handle, receive, patience, "no message");
    } catch (LimitException e) {
      throw new DisconnectedException("the sender has sent no message: " + e.getMessage(), e);
    }
    if (message == null) {
      return null;
    }
    ByteBuffer[] segments = new ByteBuffer[(int) message.getLong(0)];
    Pointer table = message.getPointer(SEGMENTS_OFFSET);
    for (int i = 0; i < segments.length; i++) {
      long size = table.getLong((long) i * SEGMENT_BYTES + SIZE_OFFSET);
      ByteBuffer segment = buffer(table.getPointer((long) i * SEGMENT_BYTES), size);
      segments[i] = segment.asReadOnlyBuffer().order(ByteOrder.LITTLE_ENDIAN);
    }
    return new Received(segments, () -> LibShipmate.shipmate_message_return(message));
  }

  private static ByteBuffer buffer(Pointer memory, long bytes) {
    // What is empty may be anywhere.
    ByteBuffer buffer = bytes == 0 ? ByteBuffer.allocate(0) : memory.getByteBuffer(0, bytes);
    return buffer.order(ByteOrder.LITTLE_ENDIAN);
  }
}
