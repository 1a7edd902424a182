package org.shipmate;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.shipmate.MessagePair.LIMIT;
import static org.shipmate.MessagePair.assertFilled;
import static org.shipmate.MessagePair.fill;

import java.nio.file.Path;
import java.time.Duration;
import java.util.concurrent.CancellationException;
import java.util.concurrent.CompletableFuture;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.shipmate.schema.RecordSchema.Record;

/** One to many: between programs in Java, and with the command line. */
@Timeout(60)
// Closing is tested too.
@SuppressWarnings("try")
final class PublishTest {
  private static final int RING_BYTES = 1 << 16;

  @TempDir Path folder;
  private String place;

  @BeforeEach
  void place() {
    place = Places.of("shm", folder);
  }

  private MessagePublisher<Record.Builder> publisher() {
    return MessagePublisher.listen(place, Record.factory, RING_BYTES, MessageOptions.DEFAULT);
  }

  private MessageSubscriber<Record.Reader> subscriber(Policy policy) {
    return MessageSubscriber.connect(place, Record.factory, policy);
  }

  @Test
  void whoBlocksGetsAll() throws Exception {
    int count = 500;
    try (var publisher = publisher();
        var one = subscriber(Policy.BLOCK);
        var other = subscriber(Policy.BLOCK)) {
      publisher.awaitSubscribers(2, LIMIT);
      var publishing =
          CompletableFuture.runAsync(
              () -> {
                for (int i = 0; i < count; i++) {
                  int value = i;
                  publisher.publish(record -> fill(record, value, 1_000));
                }
                publisher.close();
              });
      for (int i = 0; i < count; i++) {
        assertFilled(one.receive(LIMIT).orElseThrow(), i, 1_000);
        try (var message = other.receiveLent(LIMIT).orElseThrow()) {
          assertFilled(message.root(), i, 1_000);
        }
      }
      publishing.get();
      assertTrue(one.receive(LIMIT).isEmpty());
      assertTrue(other.receive().isEmpty());
      assertEquals(0, one.lost() + other.lost());
    }
  }

  @Test
  void whoLosesKnowsHowMany() throws Exception {
    int count = 1_000;
    try (var publisher = publisher();
        var subscriber = subscriber(Policy.LOSE_OLDEST)) {
      publisher.awaitSubscribers(1);
      for (int i = 0; i < count; i++) {
        int value = i;
        publisher.publish(record -> fill(record, value, 1_000));
      }
      publisher.close();
      int received = 0;
      for (var message = subscriber.receive(LIMIT);
          message.isPresent();
          message = subscriber.receive(LIMIT)) {
        assertEquals(subscriber.lost() + received, message.get().getValue());
        received++;
      }
      assertEquals(count, subscriber.lost() + received);
      assertTrue(received > 0 && received < count, received + " of " + count);
    }
  }

  @Test
  void toTheCommandLine() throws Exception {
    try (var publisher = publisher();
        Command subscriber = Command.start("subscribe", place)) {
      publisher.awaitSubscribers(1, LIMIT);
      publisher.publish(record -> record.setName("wind"));
      assertTrue(subscriber.line().startsWith("{\"name\":\"wind\""));
      publisher.close();
      assertNull(subscriber.line());
      assertEquals(0, subscriber.exit());
    }
  }

  @Test
  void fromTheCommandLine() throws Exception {
    try (Command publisher = Command.listening("publish", place);
        var subscriber = subscriber(Policy.BLOCK)) {
      publisher.give("{\"name\":\"wind\"}");
      assertEquals("wind", subscriber.receive(LIMIT).orElseThrow().getName().toString());
      assertEquals(0, publisher.finish());
      assertTrue(subscriber.receive(LIMIT).isEmpty());
    }
  }

  /** What it has published comes first. */
  @Test
  void aPublisherThatIsKilled() throws Exception {
    try (Command publisher = Command.listening("publish", place);
        var subscriber = subscriber(Policy.BLOCK)) {
      publisher.give("{\"value\":1}");
      assertEquals(1, subscriber.receive(LIMIT).orElseThrow().getValue());
      publisher.kill();
      assertThrows(DisconnectedException.class, () -> subscriber.receive(LIMIT));
    }
  }

  @Test
  void aSubscriberThatIsKilledHoldsNobodyUp() throws Exception {
    try (var publisher = publisher();
        var subscriber = subscriber(Policy.LOSE_OLDEST);
        Command killed = Command.start("subscribe", place)) {
      publisher.awaitSubscribers(2, LIMIT);
      killed.kill();
      for (int i = 0; i < 200; i++) {
        publisher.publish(record -> fill(record, 1, 1_000));
      }
      assertFilled(subscriber.receive(LIMIT).orElseThrow(), 1, 1_000);
    }
  }

  @Test
  void waitsThatEndEarly() throws Exception {
    try (var publisher = publisher();
        var subscriber = subscriber(Policy.BLOCK)) {
      Duration soon = Duration.ofMillis(1);
      assertThrows(DeadlineException.class, () -> publisher.awaitSubscribers(2, soon));
      assertThrows(DeadlineException.class, () -> subscriber.receive(soon));
      Thread.currentThread().interrupt();
      assertThrows(CancellationException.class, () -> publisher.awaitSubscribers(2));
      assertThrows(CancellationException.class, subscriber::receive);
      assertTrue(Thread.interrupted());
      publisher.awaitSubscribers(1);
      publisher.publish(record -> fill(record, 1, 1));
      assertFilled(subscriber.receive(LIMIT).orElseThrow(), 1, 1);
    }
  }

  @Test
  void whatCannotBe() throws Exception {
    assertThrows(UnreachableException.class, () -> subscriber(Policy.BLOCK));
    assertThrows(AddressException.class, () -> MessagePublisher.listen("nonsense", Record.factory));
    assertThrows(
        IllegalArgumentException.class,
        () -> MessagePublisher.listen(place, Record.factory, 5_000, MessageOptions.DEFAULT));
    try (var publisher = publisher();
        var subscriber = subscriber(Policy.BLOCK)) {
      publisher.awaitSubscribers(1, LIMIT);
      assertThrows(UnreachableException.class, this::publisher);
      // A quarter of the ring, and the publisher goes on.
      assertThrows(
          LimitException.class, () -> publisher.publish(record -> fill(record, 1, RING_BYTES / 4)));
      publisher.publish(record -> fill(record, 2, 100));
      assertFilled(subscriber.receive(LIMIT).orElseThrow(), 2, 100);
      subscriber.close();
      assertThrows(DisconnectedException.class, subscriber::receive);
      publisher.close();
      assertThrows(DisconnectedException.class, () -> publisher.publish(record -> {}));
    }
  }
}
