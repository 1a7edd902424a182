package org.shipmate;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.shipmate.MessagePair.LIMIT;
import static org.shipmate.MessagePair.fill;

import java.io.IOException;
import java.lang.annotation.Retention;
import java.lang.annotation.RetentionPolicy;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.SocketChannel;
import java.nio.file.Path;
import java.time.Duration;
import java.util.concurrent.CancellationException;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.shipmate.rpc.Limits;
import org.shipmate.schema.RecordSchema.Record;

/** One-way messages over every address: between programs in Java, and with the command line. */
@Timeout(60)
final class MessagesTest {
  private static final int LARGE = 800_000;

  /** At an address of each transport. */
  @ParameterizedTest
  @ValueSource(strings = {"tcp", "unix", "abstract", "pipe", "shm", "auto"})
  @Retention(RetentionPolicy.RUNTIME)
  @interface Everywhere {}

  @TempDir Path folder;

  @Everywhere
  void toTheCommandLine(String transport) throws Exception {
    try (Command receiver = receiving(Places.of(transport, folder))) {
      try (var sender = MessageSender.connect(receiver.address(), Record.factory)) {
        sender.send(
            record -> {
              record.setName("depth");
              record.setValue(42);
            });
        sender.send(record -> record.setName("größe"));
      }
      assertTrue(receiver.line().startsWith("{\"name\":\"depth\",\"value\":42"));
      assertTrue(receiver.line().startsWith("{\"name\":\"größe\""));
      assertNull(receiver.line());
      assertEquals(0, receiver.exit());
    }
  }

  @Everywhere
  void fromTheCommandLine(String transport) throws Exception {
    try (var listener = MessageListener.listen(Places.of(transport, folder), Record.factory);
        Command sender = Command.start("send", listener.address());
        var receiver = listener.accept(LIMIT)) {
      sender.give("{\"name\":\"a\",\"value\":1}");
      Record.Reader first = receiver.receive(LIMIT).orElseThrow();
      assertEquals("a", first.getName().toString());
      assertEquals(1, first.getValue());
      sender.give("{\"name\":\"b\"}");
      assertEquals("b", receiver.receive().orElseThrow().getName().toString());
      assertEquals(0, sender.finish());
      assertTrue(receiver.receive().isEmpty());
      assertTrue(receiver.receive().isEmpty());
    }
  }

  /**
   * Small ones, one of many segments, and those of a loan: that fits, does not, is bytes, is not
   * sent.
   */
  @Everywhere
  void thereAndBack(String transport) throws Exception {
    try (var pair = MessagePair.connect(Places.of(transport, folder))) {
      var sending =
          CompletableFuture.runAsync(
              () -> {
                pair.sender().send(record -> fill(record, 0, 100));
                pair.sender().send(record -> fill(record, 1, LARGE));
                for (int room : new int[] {LARGE + 1_000, 0}) {
                  try (var loan = pair.sender().loan(room)) {
                    fill(loan.root(), 2, LARGE);
                    loan.send();
                  }
                }
                try (var loan = pair.sender().loan(100_000)) {
                  ByteBuffer memory = loan.memory();
                  // A struct of one word of data behind the pointer to it: Record's value.
                  memory.putLong(0, 1L << 32).putLong(8, 3);
                  loan.send(16);
                }
                pair.sender().loan(LARGE).close();
                pair.sender().close();
              });
      pair.assertReceives(0, 100);
      pair.assertReceives(1, LARGE);
      pair.assertReceives(2, LARGE);
      pair.assertReceives(2, LARGE);
      assertEquals(3, pair.receiver().receive(LIMIT).orElseThrow().getValue());
      pair.assertEnded();
      pair.assertEnded();
      sending.get();
    }
  }

  @Everywhere
  void aReceiverThatIsKilled(String transport) throws Exception {
    try (Command receiver = receiving(Places.of(transport, folder))) {
      var sender = MessageSender.connect(receiver.address(), Record.factory);
      sender.send(record -> fill(record, 1, 1));
      assertTrue(receiver.line().contains("\"value\":1"));
      receiver.kill();
      assertThrows(DisconnectedException.class, () -> sendForEver(sender));
      MessagePair.closeAnyway(sender);
    }
  }

  /** What it has sent comes first. Between two messages that is an end like another. */
  @Everywhere
  void aSenderThatIsKilled(String transport) throws Exception {
    try (var listener = MessageListener.listen(Places.of(transport, folder), Record.factory);
        Command sender = Command.start("send", listener.address());
        var receiver = listener.accept(LIMIT)) {
      sender.give("{\"value\":1}");
      assertEquals(1, receiver.receive(LIMIT).orElseThrow().getValue());
      sender.kill();
      assertTrue(receiver.receive(LIMIT).isEmpty());
    }
  }

  @Everywhere
  void aReceiverThatHasClosed(String transport) throws Exception {
    try (var pair = MessagePair.connect(Places.of(transport, folder))) {
      pair.sender().send(record -> fill(record, 1, 1));
      pair.assertReceives(1, 1);
      pair.receiver().close();
      pair.listener().close();
      assertThrows(DisconnectedException.class, () -> sendForEver(pair.sender()));
    }
  }

  /** Nothing is lost by a wait that ends early. */
  @Everywhere
  void aDeadline(String transport) throws Exception {
    try (var pair = MessagePair.connect(Places.of(transport, folder))) {
      for (Duration allowed : new Duration[] {Duration.ZERO, Duration.ofMillis(20)}) {
        var error = assertThrows(DeadlineException.class, () -> pair.receiver().receive(allowed));
        assertEquals(allowed, error.allowed());
        pair.sender().send(record -> fill(record, 1, 1));
        pair.assertReceives(1, 1);
      }
      if (!transport.equals("pipe")) {
        assertThrows(DeadlineException.class, () -> pair.listener().accept(Duration.ofMillis(1)));
      }
    }
  }

  /** It ends the wait and nothing else, and a send not even that. */
  @Everywhere
  void anInterrupt(String transport) throws Exception {
    try (var pair = MessagePair.connect(Places.of(transport, folder))) {
      Thread.currentThread().interrupt();
      assertThrows(CancellationException.class, () -> pair.receiver().receive());
      pair.sender().send(record -> fill(record, 1, 1));
      assertTrue(Thread.interrupted());
      pair.assertReceives(1, 1);

      var sending =
          Running.start(
              () -> {
                for (int i = 0; i < 20; i++) {
                  pair.sender().send(record -> fill(record, 2, LARGE));
                }
                while (!Thread.interrupted()) {
                  Thread.onSpinWait();
                }
              });
      pair.assertReceives(2, LARGE);
      sending.thread().interrupt();
      for (int i = 1; i < 20; i++) {
        pair.assertReceives(2, LARGE);
      }
      sending.done().get();
    }
  }

  @Everywhere
  void closingEndsAWait(String transport) throws Exception {
    try (var pair = MessagePair.connect(Places.of(transport, folder))) {
      var receiving = Running.start(() -> pair.receiver().receive());
      // Whether it waits already makes no difference.
      pair.receiver().close();
      var error = assertThrows(ExecutionException.class, () -> receiving.done().get());
      assertInstanceOf(DisconnectedException.class, error.getCause());
      assertThrows(DisconnectedException.class, () -> pair.receiver().receive());
    }
  }

  /** The sender goes on after what is too large. */
  @Everywhere
  void aLimit(String transport) throws Exception {
    int bytesMax = Limits.DEFAULT.frameBytesMax();
    try (var pair = MessagePair.connect(Places.of(transport, folder))) {
      assertThrows(LimitException.class, () -> pair.sender().loan(bytesMax + 1));
      assertThrows(
          LimitException.class,
          () -> pair.sender().send(record -> record.getBody().initBytes(bytesMax)));
      assertThrows(IllegalArgumentException.class, () -> pair.sender().loan(-1));
      pair.sender().send(record -> fill(record, 1, 1));
      pair.assertReceives(1, 1);
    }
  }

  /** (Any number may read a pipe.) */
  @ParameterizedTest
  @ValueSource(strings = {"tcp", "unix", "abstract", "shm", "auto"})
  void anAddressInUse(String transport) {
    String place = Places.of(transport, folder);
    try (var listener = MessageListener.listen(place, Record.factory)) {
      assertThrows(
          UnreachableException.class,
          () -> MessageListener.listen(listener.address(), Record.factory));
    }
  }

  @Test
  void aSenderThatIsGoneInTheMiddleOfAMessage() throws Exception {
    sends(ByteBuffer.wrap(new byte[] {0, 0, 0, 0, 1, 0, 0}), "in the middle");
  }

  @Test
  void aSenderThatSendsGarbage() throws Exception {
    sends(ByteBuffer.wrap("GET / HTTP/1.1\r\n\r\n".getBytes()), "no message");
  }

  private void sends(ByteBuffer bytes, String reason) throws IOException {
    Path path = folder.resolve("g.sock");
    try (var listener = MessageListener.listen("unix:" + path, Record.factory);
        SocketChannel sender = SocketChannel.open(UnixDomainSocketAddress.of(path));
        var receiver = listener.accept()) {
      sender.write(bytes);
      sender.shutdownOutput();
      var error = assertThrows(DisconnectedException.class, receiver::receive);
      assertTrue(error.getMessage().contains(reason), error.getMessage());
    }
  }

  @Test
  void nobodyReceives() {
    String path = folder.resolve("nobody").toString();
    var error = UnreachableException.class;
    assertThrows(error, () -> MessageSender.connect("unix:" + path, Record.factory));
    Places.needLibrary();
    assertThrows(error, () -> MessageSender.connect("shm:" + path, Record.factory));
    assertThrows(error, () -> MessageSender.connect("auto:" + path, Record.factory));
    // There it waits for one.
    var soon = MessageOptions.DEFAULT.withTimeout(Duration.ofMillis(20));
    assertThrows(error, () -> MessageSender.connect("pipe:" + path, Record.factory, soon));
    assertThrows(AddressException.class, () -> MessageSender.connect("nonsense:x", Record.factory));
  }

  /** Work on a thread of its own. */
  private record Running(Thread thread, CompletableFuture<Void> done) {
    static Running start(Runnable work) {
      var task = new CompletableFuture<Void>();
      Thread thread =
          new Thread(
              () -> {
                try {
                  work.run();
                  task.complete(null);
                } catch (RuntimeException | Error e) {
                  task.completeExceptionally(e);
                }
              });
      thread.start();
      return new Running(thread, task);
    }
  }

  private static Command receiving(String place) throws IOException {
    return Command.listening("recv", place, "--until-stdin-ends");
  }

  private static void sendForEver(MessageSender<Record.Builder> sender) {
    while (true) {
      sender.send(record -> fill(record, 7, 1_000));
    }
  }
}
