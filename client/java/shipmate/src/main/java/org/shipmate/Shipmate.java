package org.shipmate;

import java.io.IOException;
import java.time.Duration;
import org.shipmate.rpc.Connection;
import org.shipmate.rpc.Limits;
import org.shipmate.rpc.SocketTransport;
import org.shipmate.rpc.Transport;

/** Connects to servers. */
public final class Shipmate {
  private static final Duration TIMEOUT = Duration.ofSeconds(10);

  private Shipmate() {}

  /**
   * Connects to a server at {@code tcp:HOST:PORT}, {@code unix:/path} or, through the C library, at
   * {@code unix:@name}, {@code pipe:/path}, {@code shm:/path} or {@code auto:/path}.
   *
   * @throws AddressException when the address cannot be understood
   * @throws UnreachableException when nobody answers there
   */
  public static Connection connect(String address) {
    return connect(address, Limits.DEFAULT);
  }

  /** Connects with other limits. */
  public static Connection connect(String address, Limits limits) {
    Address parsed = Address.parse(address);
    try {
      return Connection.start(transport(parsed), limits);
    } catch (IOException e) {
      throw new UnreachableException("nobody answers at " + address + ": " + e.getMessage(), e);
    }
  }

  private static Transport transport(Address address) throws IOException {
    if (address instanceof Address.Socket socket) {
      return new SocketTransport(Sockets.connect(socket, TIMEOUT));
    }
    return Jna.use(() -> NativeTransport.connect(address));
  }
}
