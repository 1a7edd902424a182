package org.shipmate;

import java.io.IOException;
import java.net.InetSocketAddress;
import java.net.SocketAddress;
import java.net.SocketTimeoutException;
import java.net.StandardProtocolFamily;
import java.net.StandardSocketOptions;
import java.net.UnknownHostException;
import java.nio.channels.Channel;
import java.nio.channels.SelectionKey;
import java.nio.channels.Selector;
import java.nio.channels.SocketChannel;
import java.time.Duration;

/** Java's own sockets. */
final class Sockets {
  private Sockets() {}

  static SocketChannel connect(Address.Socket address, Duration timeout) throws IOException {
    if (address instanceof Address.Unix unix) {
      SocketChannel channel = SocketChannel.open(StandardProtocolFamily.UNIX);
      return connected(channel, unix.socket(), timeout);
    }
    Address.Tcp tcp = (Address.Tcp) address;
    InetSocketAddress socket = new InetSocketAddress(tcp.host(), tcp.port());
    if (socket.isUnresolved()) {
      throw new UnknownHostException("there is no host of that name");
    }
    SocketChannel channel = SocketChannel.open();
    // A call is not to wait for the next one to fill the packet.
    channel.setOption(StandardSocketOptions.TCP_NODELAY, true);
    return connected(channel, socket, timeout);
  }

  private static SocketChannel connected(
      SocketChannel channel, SocketAddress address, Duration timeout) throws IOException {
    try (Selector selector = channel.provider().openSelector()) {
      channel.configureBlocking(false);
      if (!channel.connect(address)) {
        channel.register(selector, SelectionKey.OP_CONNECT);
        if (selector.select(timeout.toMillis()) == 0 || !channel.finishConnect()) {
          throw new SocketTimeoutException("no connection within " + timeout.toSeconds() + " s");
        }
      }
    } catch (IOException | RuntimeException e) {
      channel.close();
      throw e;
    }
    return channel;
  }

  /** Closes the channel when what is done with it fails. */
  static void orClose(Channel channel, Action action) throws IOException {
    try {
      action.run();
    } catch (IOException | RuntimeException e) {
      channel.close();
      throw e;
    }
  }

  interface Action {
    void run() throws IOException;
  }
}
