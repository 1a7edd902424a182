package org.shipmate;

import java.io.IOException;
import java.nio.channels.SocketChannel;
import java.time.Duration;
import java.util.function.Consumer;
import org.capnproto.MessageBuilder;
import org.capnproto.Serialize;
import org.capnproto.StructFactory;

/**
 * Sends typed messages one way, one after the other, to {@code tcp:} and {@code unix:/path}
 * addresses. A slow receiver makes it wait.
 *
 * <p>Closing it ends the stream: the receiver gets all that was sent, and then the end.
 *
 * @param <B> the builder of the messages' type
 */
public final class MessageSender<B> implements AutoCloseable {
  private static final Duration TIMEOUT = Duration.ofSeconds(10);

  private final SocketChannel channel;
  private final StructFactory<B, ?> type;

  private MessageSender(SocketChannel channel, StructFactory<B, ?> type) {
    this.channel = channel;
    this.type = type;
  }

  /**
   * Connects to a receiver.
   *
   * @throws AddressException when the address cannot be understood
   * @throws UnreachableException when nobody receives there
   */
  public static <B> MessageSender<B> connect(String address, StructFactory<B, ?> type) {
    Address parsed = Address.parse(address);
    try {
      SocketChannel channel = Sockets.connect(Sockets.own(parsed), TIMEOUT);
      channel.configureBlocking(true);
      return new MessageSender<>(channel, type);
    } catch (IOException e) {
      throw new UnreachableException("nobody receives at " + address + ": " + e.getMessage(), e);
    }
  }

  /**
   * Builds a message and sends it.
   *
   * @throws DisconnectedException when the receiver is gone
   */
  public synchronized void send(Consumer<B> fill) {
    MessageBuilder message = new MessageBuilder();
    fill.accept(message.initRoot(type));
    try {
      Serialize.write(channel, message);
    } catch (IOException e) {
      throw new DisconnectedException("the receiver is gone: " + e.getMessage(), e);
    }
  }

  @Override
  public void close() {
    try {
      channel.close();
    } catch (IOException e) {
      throw new DisconnectedException("the stream could not be ended: " + e.getMessage(), e);
    }
  }
}
