package org.shipmate;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.SocketChannel;
import java.nio.file.Path;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.shipmate.schema.RecordSchema.Record;

/** One-way messages, with the command line at the other end. */
@Timeout(60)
final class MessagesTest {
  @TempDir Path folder;

  @Test
  void toTheCommandLine() throws Exception {
    String address = "unix:" + folder.resolve("m.sock");
    Process receiver = program("recv", address).start();
    try (var errors = receiver.errorReader()) {
      assertTrue(errors.readLine().contains("listening"));
      try (var sender = MessageSender.connect(address, Record.factory)) {
        sender.send(
            record -> {
              record.setName("depth");
              record.setValue(42);
            });
        sender.send(record -> record.setName("größe"));
      }
      try (var lines = receiver.inputReader()) {
        assertTrue(lines.readLine().startsWith("{\"name\":\"depth\",\"value\":42"));
        assertTrue(lines.readLine().startsWith("{\"name\":\"größe\""));
      }
      assertEquals(0, receiver.waitFor());
    } finally {
      receiver.destroyForcibly().waitFor(10, TimeUnit.SECONDS);
    }
  }

  @Test
  void fromTheCommandLine() throws Exception {
    for (String listen : new String[] {"tcp:127.0.0.1:0", "unix:" + folder.resolve("m.sock")}) {
      try (var listener = MessageListener.listen(listen, Record.factory)) {
        Process sender = program("send", listener.address()).start();
        sender.outputWriter().append("{\"name\":\"a\",\"value\":1}\n{\"name\":\"b\"}\n").close();
        try (MessageReceiver<Record.Reader> receiver = listener.accept()) {
          Record.Reader first = receiver.receive().get();
          assertEquals("a", first.getName().toString());
          assertEquals(1, first.getValue());
          assertEquals("b", receiver.receive().get().getName().toString());
          assertTrue(receiver.receive().isEmpty());
        }
        assertEquals(0, sender.waitFor());
      }
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
  void aReceiverThatIsGone() throws Exception {
    Path path = folder.resolve("r.sock");
    try (var listener = MessageListener.listen("unix:" + path, Record.factory);
        var sender = MessageSender.connect("unix:" + path, Record.factory)) {
      listener.accept().close();
      assertThrows(
          DisconnectedException.class,
          () -> {
            while (true) {
              sender.send(record -> record.setName("nobody"));
            }
          });
    }
  }

  @Test
  void addressesThatAreNotForMessages() {
    assertThrows(AddressException.class, () -> MessageSender.connect("shm:/tmp/x", Record.factory));
    String nobody = "unix:" + folder.resolve("nobody.sock");
    assertThrows(UnreachableException.class, () -> MessageSender.connect(nobody, Record.factory));
  }

  private static ProcessBuilder program(String command, String address) throws IOException {
    return new ProcessBuilder(Shipmated.program("shipmate").toString(), command, address);
  }
}
