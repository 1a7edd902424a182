package org.shipmate;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.ByteBuffer;
import java.time.Duration;
import java.util.concurrent.CompletableFuture;
import org.shipmate.schema.RecordSchema.Record;

/** A sender and its receiver. */
record MessagePair(
    MessageListener<Record.Reader> listener,
    MessageSender<Record.Builder> sender,
    MessageReceiver<Record.Reader> receiver)
    implements AutoCloseable {
  /** Longer than any test waits for what comes. */
  static final Duration LIMIT = Duration.ofSeconds(60);

  static MessagePair connect(String place) {
    return connect(place, Tier.COPY, Tier.COPY);
  }

  static MessagePair connect(String place, Tier receives, Tier sends) {
    var options = MessageOptions.DEFAULT;
    var listener = MessageListener.listen(place, Record.factory, options.withTier(receives));
    // Over shared memory it shakes hands with what is accepted.
    var connecting =
        CompletableFuture.supplyAsync(
            () ->
                MessageSender.connect(listener.address(), Record.factory, options.withTier(sends)));
    var receiver = listener.accept(LIMIT);
    return new MessagePair(listener, connecting.join(), receiver);
  }

  /** A value, and that many bytes of it. */
  static void fill(Record.Builder record, int value, int bytes) {
    record.setValue(value);
    ByteBuffer data = record.getBody().initBytes(bytes).asByteBuffer();
    while (data.hasRemaining()) {
      data.put((byte) value);
    }
  }

  static void assertFilled(Record.Reader record, int value, int bytes) {
    assertEquals(value, record.getValue());
    ByteBuffer data = record.getBody().getBytes().asByteBuffer();
    assertEquals(bytes, data.remaining());
    while (data.hasRemaining()) {
      assertEquals((byte) value, data.get());
    }
  }

  /** Receives one of these. */
  void assertReceives(int value, int bytes) {
    assertFilled(receiver.receive(LIMIT).orElseThrow(), value, bytes);
  }

  void assertEnded() {
    assertTrue(receiver.receive(LIMIT).isEmpty());
  }

  @Override
  public void close() {
    receiver.close();
    closeAnyway(sender);
    listener.close();
  }

  /** It may have had something to say to a receiver that is gone. */
  static void closeAnyway(MessageSender<?> sender) {
    try {
      sender.close();
    } catch (DisconnectedException e) {
      assertNotNull(e.getMessage());
    }
  }
}
