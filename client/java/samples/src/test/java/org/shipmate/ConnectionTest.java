package org.shipmate;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.File;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.concurrent.CancellationException;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.shipmate.rpc.Call;
import org.shipmate.rpc.Connection;
import org.shipmate.schema.ArithSchema.Arith;
import org.shipmate.schema.ConformanceSchema.Conformance;

/** How a connection begins, and all the ways in which it ends. */
@Timeout(120)
final class ConnectionTest {
  @TempDir Path folder;
  private Shipmated server;
  private String address;

  @BeforeEach
  void start() throws IOException {
    address = "unix:" + folder.resolve("c.sock");
    server = Shipmated.start(address + "=conformance");
  }

  @AfterEach
  void stop() {
    server.close();
  }

  @Test
  void allCallsInFlightFailWhenTheServerDies() throws Exception {
    try (Connection connection = Shipmate.connect(address)) {
      var conformance = connection.bootstrap(Conformance.factory);
      List<Call<?, ?>> calls = new ArrayList<>();
      List<CompletableFuture<?>> futures = new ArrayList<>();
      for (int i = 0; i < 20; i++) {
        calls.add(conformance.hang());
        futures.add(conformance.hang().future());
      }
      waiting(conformance, 40);
      server.kill();
      for (Call<?, ?> call : calls) {
        assertThrows(DisconnectedException.class, call::get);
      }
      for (CompletableFuture<?> future : futures) {
        var error = assertThrows(ExecutionException.class, future::get);
        assertInstanceOf(DisconnectedException.class, error.getCause());
      }
      assertThrows(DisconnectedException.class, () -> conformance.hanging().get());
      assertInstanceOf(DisconnectedException.class, connection.closed().get());
      assertFalse(connection.isOpen());
    }
  }

  @Test
  void aDeadlineCancelsTheServersWork() throws Exception {
    try (Connection connection = Shipmate.connect(address)) {
      var conformance = connection.bootstrap(Conformance.factory);
      var call = conformance.hang().within(Duration.ofMillis(20));
      var error = assertThrows(DeadlineException.class, call::get);
      assertEquals(Duration.ofMillis(20), error.allowed());
      var future = conformance.hang().within(Duration.ofMillis(20)).future();
      var late = assertThrows(ExecutionException.class, future::get);
      assertInstanceOf(DeadlineException.class, late.getCause());
      while (conformance.hanging().get().getCancelled() < 2) {
        Thread.sleep(1);
      }
      assertEquals(0, conformance.hanging().get().getWaiting());
    }
  }

  @Test
  void anInterruptCancelsTheCallAndNotTheConnection() throws Exception {
    try (Connection connection = Shipmate.connect(address)) {
      var conformance = connection.bootstrap(Conformance.factory);
      CompletableFuture<Boolean> interrupted = new CompletableFuture<>();
      Thread thread =
          new Thread(
              () -> {
                assertThrows(CancellationException.class, () -> conformance.hang().get());
                interrupted.complete(Thread.currentThread().isInterrupted());
              });
      thread.start();
      waiting(conformance, 1);
      thread.interrupt();
      assertTrue(interrupted.get());
      waiting(conformance, 0);
      assertEquals("on", conformance.text("on").get().getValue().toString());
    }
  }

  @Test
  void closingEndsTheCallsInFlight() throws Exception {
    Connection connection = Shipmate.connect(address);
    var call = connection.bootstrap(Conformance.factory).hang();
    connection.close();
    assertThrows(DisconnectedException.class, call::get);
    connection.close();
  }

  @Test
  void aConnectorMakesANewConnectionAndRepeatsNothing() throws Exception {
    try (var connector = new Connector(address, Reconnect.backOff(20))) {
      var first = connector.bootstrap(Conformance.factory);
      var inFlight = first.hang();
      waiting(first, 1);
      server.kill();
      assertThrows(DisconnectedException.class, inFlight::get);
      server = Shipmated.start(address + "=conformance");
      var second = connector.bootstrap(Conformance.factory);
      assertEquals(0, second.hanging().get().getWaiting());
      assertThrows(DisconnectedException.class, () -> first.hanging().get());
    }
  }

  @Test
  void aConnectorGivesUpAfterItsAttempts() throws Exception {
    server.kill();
    var policy = new Reconnect(3, Duration.ofMillis(1), Duration.ofMillis(5), 2);
    try (var connector = new Connector(address, policy)) {
      assertThrows(UnreachableException.class, connector::connection);
    }
  }

  @Test
  void nobodyAnswers() throws Exception {
    server.kill();
    assertThrows(UnreachableException.class, () -> Shipmate.connect(address));
    int port = freePort();
    assertThrows(UnreachableException.class, () -> Shipmate.connect("tcp:127.0.0.1:" + port));
    assertThrows(UnreachableException.class, () -> Shipmate.connect("tcp:no.such.invalid:1"));
    assertThrows(UnreachableException.class, () -> Shipmate.connect("unix:@nobody-is-here"));
  }

  private static int freePort() throws IOException {
    try (ServerSocketChannel listener = ServerSocketChannel.open()) {
      listener.bind(new InetSocketAddress("127.0.0.1", 0));
      return listener.socket().getLocalPort();
    }
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "",
        "ship",
        "http://ship",
        "tcp:",
        "tcp:host",
        "tcp:host:",
        "tcp:host:x",
        "tcp:host:65536",
        "tcp::1",
        "tcp:::1:80",
        "unix:",
        "unix:@",
        "unix:\0",
        "pipe:",
        "shm:"
      })
  void aWrongAddressShowsTheRightForm(String wrong) {
    var error = assertThrows(AddressException.class, () -> Shipmate.connect(wrong));
    assertTrue(error.getMessage().contains("tcp:HOST:PORT"), error.getMessage());
  }

  @Test
  void anotherServiceLacksTheMethods() {
    try (Connection connection = Shipmate.connect(address)) {
      var call = connection.bootstrap(Arith.factory).multiply(2, 3);
      var error = assertThrows(ServiceException.class, call::get);
      assertEquals(ServiceException.Kind.UNIMPLEMENTED, error.kind());
    }
  }

  @Test
  void manyConnectionsLeaveNoDescriptor() {
    connectAndCall();
    long before = descriptors();
    for (int i = 0; i < 50; i++) {
      connectAndCall();
    }
    assertEquals(before, descriptors());
  }

  private void connectAndCall() {
    try (Connection connection = Shipmate.connect(address)) {
      var conformance = connection.bootstrap(Conformance.factory);
      assertEquals("ship", conformance.text("ship").get().getValue().toString());
    }
  }

  private static long descriptors() {
    return new File("/proc/self/fd").list().length;
  }

  private static void waiting(Conformance.Client conformance, int count)
      throws InterruptedException {
    while (conformance.hanging().get().getWaiting() != count) {
      Thread.sleep(1);
    }
  }

  // ------------------------------------------------------------------------- peers that misbehave

  @Test
  void aPeerThatClosesInTheMiddleOfAMessage() throws Exception {
    ByteBuffer half = words(0x0000_0010_0000_0000L, 0);
    String reason = peerSends(half);
    assertTrue(reason.contains("in the middle of a message"), reason);
  }

  @Test
  void aPeerThatClosesAtOnce() throws Exception {
    assertTrue(peerSends(ByteBuffer.allocate(0)).contains("closed"));
  }

  @Test
  void aPeerThatAnnouncesTooMuch() throws Exception {
    String reason = peerSends(words(0x7fff_ffff_0000_0000L));
    assertTrue(reason.contains("the limit is"), reason);
    assertTrue(peerSends(words(0x0000_0001_ffff_ffffL)).contains("segments"));
    assertTrue(peerSends(words(0x0000_0001_0000_ffffL)).contains("segments"));
  }

  @Test
  void aPeerThatAnswersWhatWasNotAsked() throws Exception {
    // A Return, for question 77, which is canceled.
    ByteBuffer message =
        words(
            0x0000_0006_0000_0000L,
            0x0001_0001_0000_0000L,
            0x0000_0000_0000_0003L,
            0x0001_0002_0000_0000L,
            0x0002_0000_0000_004dL,
            0,
            0);
    String reason = peerSends(message);
    assertTrue(reason.contains("not asked"), reason);
  }

  @Test
  void aPeerThatSendsGarbage() throws Exception {
    Random random = new Random(7);
    for (int round = 0; round < 200; round++) {
      byte[] bytes = new byte[8 * (1 + random.nextInt(60))];
      random.nextBytes(bytes);
      ByteBuffer garbage = ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN);
      if (round % 4 != 0) {
        // A frame that is right, so that what is in it gets looked at.
        garbage.putInt(0, 0);
        garbage.putInt(4, bytes.length / 8 - 1);
      }
      if (round % 4 > 1 && bytes.length >= 32) {
        // And a root that is a message of one of the kinds.
        garbage.putLong(8, 0x0001_0001_0000_0000L);
        garbage.putLong(16, random.nextInt(14));
        garbage.putLong(24, 0x0003_0003_0000_0000L);
      }
      assertFalse(peerSends(garbage).isEmpty());
    }
  }

  private static ByteBuffer words(long... words) {
    ByteBuffer buffer = ByteBuffer.allocate(8 * words.length).order(ByteOrder.LITTLE_ENDIAN);
    for (long word : words) {
      buffer.putLong(word);
    }
    return buffer.flip();
  }

  /** A peer sends these bytes and closes. Gives the reason with which the connection has ended. */
  private String peerSends(ByteBuffer bytes) throws Exception {
    Path path = folder.resolve("peer.sock");
    try (ServerSocketChannel listener = ServerSocketChannel.open(StandardProtocolFamily.UNIX)) {
      listener.bind(UnixDomainSocketAddress.of(path));
      try (Connection connection = Shipmate.connect("unix:" + path);
          SocketChannel peer = listener.accept()) {
        Call<?, ?> call = connection.bootstrap(Conformance.factory).hang();
        while (bytes.hasRemaining()) {
          peer.write(bytes);
        }
        peer.shutdownOutput();
        assertThrows(DisconnectedException.class, call::get);
        return connection.closed().get().getMessage();
      }
    } finally {
      Files.deleteIfExists(path);
    }
  }
}
