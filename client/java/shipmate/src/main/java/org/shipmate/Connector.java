package org.shipmate;

import java.util.concurrent.CancellationException;
import org.shipmate.rpc.Client;
import org.shipmate.rpc.Connection;
import org.shipmate.rpc.InterfaceFactory;
import org.shipmate.rpc.Limits;

/**
 * Gives a live connection to an address, and makes a new one when the last is lost.
 *
 * <p>It never repeats a call: those that are under way when a connection is lost fail with {@link
 * DisconnectedException}, and only the caller knows whether they may be made again. Objects that
 * came from a lost connection are lost too: ask {@link #bootstrap} again.
 */
public final class Connector implements AutoCloseable {
  private final String address;
  private final Reconnect policy;
  private final Limits limits;
  private Connection current;
  private boolean closed;

  /** Connects when it is first asked. */
  public Connector(String address, Reconnect policy) {
    this(address, policy, Limits.DEFAULT);
  }

  /**
   * @throws AddressException when the address cannot be understood
   */
  public Connector(String address, Reconnect policy, Limits limits) {
    Address.parse(address);
    this.address = address;
    this.policy = policy;
    this.limits = limits;
  }

  /**
   * The connection, if it is open; else a new one.
   *
   * @throws UnreachableException when the policy's attempts are used up
   */
  public synchronized Connection connection() {
    if (closed) {
      throw new DisconnectedException("the connector was closed");
    }
    if (current == null || !current.isOpen()) {
      current = connect();
    }
    return current;
  }

  /** The first object of the connection, or of a new one. */
  public <C extends Client> C bootstrap(InterfaceFactory<C> type) {
    return connection().bootstrap(type);
  }

  @Override
  public synchronized void close() {
    closed = true;
    if (current != null) {
      current.close();
    }
  }

  private Connection connect() {
    for (int failures = 1; ; failures++) {
      try {
        return Shipmate.connect(address, limits);
      } catch (UnreachableException e) {
        if (failures >= policy.attempts()) {
          throw e;
        }
        pause(failures);
      }
    }
  }

  private void pause(int failures) {
    try {
      Thread.sleep(policy.pause(failures).toMillis());
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new CancellationException("the thread was interrupted");
    }
  }
}
