package org.shipmate;

import java.io.IOException;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import org.shipmate.rpc.Client;
import org.shipmate.rpc.Connection;
import org.shipmate.rpc.Limits;
import org.shipmate.rpc.SocketTransport;

/** Two sides of one connection in this process: {@code left} is served by {@code right}. */
record Peers(Connection left, Connection right) implements AutoCloseable {
  /** The right side offers an object, which it takes over. */
  static Peers connect(Client offered, Limits limits) throws IOException {
    Path folder = Files.createTempDirectory("shipmate");
    UnixDomainSocketAddress address = UnixDomainSocketAddress.of(folder.resolve("p.sock"));
    try (ServerSocketChannel listener = ServerSocketChannel.open(StandardProtocolFamily.UNIX);
        offered) {
      listener.bind(address);
      var left = new SocketTransport(SocketChannel.open(address));
      var right = new SocketTransport(listener.accept());
      return new Peers(Connection.start(left, limits), Connection.start(right, limits, offered));
    } finally {
      Files.deleteIfExists(address.getPath());
      Files.delete(folder);
    }
  }

  static Peers connect(Client offered) throws IOException {
    return connect(offered, Limits.DEFAULT);
  }

  @Override
  public void close() {
    left.close();
    right.close();
  }
}
