package org.shipmate.rpc;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.concurrent.CompletableFuture;
import org.shipmate.DisconnectedException;

/**
 * Cap'n Proto RPC with one peer over a {@link Transport}. One thread reads; whoever has something
 * to send writes it. It may be used by any thread.
 */
public final class Connection implements AutoCloseable {
  private static final int READ_BYTES = 64 << 10;

  private final Transport transport;
  private final Outbox outbox;
  private final FrameReader frames;
  private final Session session;
  private final Thread reader;
  private final CompletableFuture<DisconnectedException> closed = new CompletableFuture<>();
  private volatile DisconnectedException ended;
  private volatile IOException writeError;

  private final Wire wire =
      new Wire() {
        @Override
        public void add(Outgoing message) {
          outbox.add(message.frame());
        }

        @Override
        public void flush() {
          Connection.this.flush();
        }

        @Override
        public void awaitRoom() {
          try {
            outbox.awaitRoom();
          } catch (InterruptedException e) {
            // It is for who waits for the answer; until then the queue is a little longer.
            Thread.currentThread().interrupt();
          }
        }
      };

  private Connection(Transport transport, Limits limits, Client bootstrap) {
    this.transport = transport;
    this.outbox = new Outbox(transport, limits.outgoingBytesMax());
    this.frames = new FrameReader(limits.frameBytesMax(), limits.segmentsMax());
    this.session = new Session(wire, limits, offered(bootstrap));
    this.reader = new Thread(this::read, "shipmate-reader");
    reader.setDaemon(true);
  }

  /** Starts as a client, which offers nothing. The transport is closed with the connection. */
  public static Connection start(Transport transport, Limits limits) {
    return start(transport, limits, null);
  }

  /** Starts as a side that offers an object, or none where it is null. */
  public static Connection start(Transport transport, Limits limits, Client bootstrap) {
    Connection connection = new Connection(transport, limits, bootstrap);
    connection.reader.start();
    return connection;
  }

  /** The peer's first object. Nothing is waited for: calls on it may be made at once. */
  public <C extends Client> C bootstrap(InterfaceFactory<C> type) {
    return type.wrap(session.bootstrap());
  }

  /** Whether calls can still be made. */
  public boolean isOpen() {
    return ended == null;
  }

  /** Is complete, with the reason, when the connection has ended. */
  public CompletableFuture<DisconnectedException> closed() {
    return closed.copy();
  }

  /** Ends the connection. Calls that are under way get {@link DisconnectedException}. */
  @Override
  public void close() {
    end(new DisconnectedException("the connection was closed on this side"));
    boolean interrupted = false;
    while (reader.isAlive()) {
      try {
        reader.join();
      } catch (InterruptedException e) {
        interrupted = true;
      }
    }
    if (interrupted) {
      Thread.currentThread().interrupt();
    }
  }

  private static Capability offered(Client bootstrap) {
    if (bootstrap == null) {
      return new BrokenCapability(Invocation.unimplemented("this side offers no object"));
    }
    Capability capability = bootstrap.reference().capability();
    capability.retain();
    return capability;
  }

  private void read() {
    try (transport) {
      ByteBuffer buffer = ByteBuffer.allocateDirect(READ_BYTES);
      while (ended == null) {
        int count = transport.read(buffer.clear());
        if (count < 0) {
          throw new DisconnectedException(
              frames.inMiddle()
                  ? "the peer closed the connection in the middle of a message"
                  : "the peer closed the connection");
        }
        if (count > 0) {
          handle(buffer.flip());
        } else {
          idle();
        }
      }
    } catch (DisconnectedException e) {
      end(e);
    } catch (FrameException | ProtocolException e) {
      abort(e.getMessage(), e);
    } catch (IOException e) {
      end(new DisconnectedException("the connection was lost: " + e.getMessage(), e));
    } catch (RuntimeException | Error e) {
      // What damaged messages make the decoder throw, which can be anything.
      abort("a message that cannot be read: " + e, e);
    } finally {
      end(new DisconnectedException("the connection has ended"));
      closed.completeAsync(() -> ended, Turns.POOL);
    }
  }

  private void handle(ByteBuffer received) throws IOException {
    MessageArena message = frames.next(received);
    while (message != null) {
      session.handle(message);
      message = frames.next(received);
    }
    if (outbox.isFull()) {
      flush();
    }
  }

  private void idle() throws IOException {
    if (outbox.isFull()) {
      flush();
    }
    if (writeError != null) {
      throw writeError;
    }
    transport.await(outbox.isFull());
  }

  private void flush() {
    try {
      outbox.flush();
    } catch (IOException e) {
      // What the peer has sent before comes first: the reader finds the end behind it.
      writeError = e;
      outbox.close();
      transport.wakeup();
    }
  }

  private void abort(String reason, Throwable cause) {
    Outgoing message = new Outgoing();
    RpcSchema.Exception.Builder exception = message.message.initAbort();
    exception.setReason(reason);
    wire.add(message);
    flush();
    end(new DisconnectedException("the peer has broken the protocol: " + reason, cause));
  }

  private void end(DisconnectedException error) {
    synchronized (this) {
      if (ended != null) {
        return;
      }
      ended = error;
    }
    session.end(error);
    outbox.close();
    transport.wakeup();
  }
}
