package org.shipmate;

import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.StandardProtocolFamily;
import java.nio.channels.ServerSocketChannel;
import java.nio.file.Files;
import org.capnproto.StructFactory;
import org.capnproto.StructReader;
import org.shipmate.rpc.Limits;

/** Waits for the senders of typed messages at a {@code tcp:} or {@code unix:/path} address. */
public final class MessageListener<R extends StructReader> implements AutoCloseable {
  private final ServerSocketChannel channel;
  private final Address.Unix file;
  private final StructFactory<?, R> type;
  private final Limits limits;

  private MessageListener(
      ServerSocketChannel channel, Address.Unix file, StructFactory<?, R> type, Limits limits) {
    this.channel = channel;
    this.file = file;
    this.type = type;
    this.limits = limits;
  }

  /**
   * Listens. {@code tcp:HOST:0} asks for any free port; {@link #address} tells which.
   *
   * @throws AddressException when the address cannot be understood
   * @throws UnreachableException when the address cannot be had
   */
  public static <R extends StructReader> MessageListener<R> listen(
      String address, StructFactory<?, R> type) {
    Address parsed = Sockets.own(Address.parse(address));
    try {
      if (parsed instanceof Address.Unix unix) {
        ServerSocketChannel channel = ServerSocketChannel.open(StandardProtocolFamily.UNIX);
        Sockets.orClose(channel, () -> channel.bind(unix.socket()));
        return new MessageListener<>(channel, unix, type, Limits.DEFAULT);
      }
      Address.Tcp tcp = (Address.Tcp) parsed;
      ServerSocketChannel channel = ServerSocketChannel.open();
      InetAddress host = InetAddress.getByName(tcp.host());
      Sockets.orClose(channel, () -> channel.bind(new InetSocketAddress(host, tcp.port())));
      return new MessageListener<>(channel, null, type, Limits.DEFAULT);
    } catch (IOException e) {
      throw new UnreachableException("cannot listen at " + address + ": " + e.getMessage(), e);
    }
  }

  /** Where it listens, with the port that the system chose. */
  public String address() {
    try {
      if (channel.getLocalAddress() instanceof InetSocketAddress tcp) {
        String host = tcp.getAddress().getHostAddress();
        return "tcp:" + (host.contains(":") ? "[" + host + "]" : host) + ":" + tcp.getPort();
      }
      return "unix:" + file.socket().getPath();
    } catch (IOException e) {
      throw new DisconnectedException("the listener was closed", e);
    }
  }

  /** Waits for the next sender. */
  public MessageReceiver<R> accept() {
    try {
      return new MessageReceiver<>(channel.accept(), type, limits);
    } catch (IOException e) {
      throw new DisconnectedException("the listener was closed", e);
    }
  }

  @Override
  public void close() {
    try {
      channel.close();
      if (file != null) {
        Files.deleteIfExists(file.socket().getPath());
      }
    } catch (IOException e) {
      throw new DisconnectedException("the listener could not be closed: " + e.getMessage(), e);
    }
  }
}
