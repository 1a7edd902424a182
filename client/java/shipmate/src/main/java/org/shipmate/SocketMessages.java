package org.shipmate;

import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.StandardProtocolFamily;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.SelectionKey;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.file.Files;
import org.shipmate.MessageTransport.Lending;
import org.shipmate.MessageTransport.Listening;
import org.shipmate.MessageTransport.Loan;
import org.shipmate.MessageTransport.Received;
import org.shipmate.MessageTransport.Receiving;
import org.shipmate.rpc.FrameException;
import org.shipmate.rpc.FrameReader;
import org.shipmate.rpc.FrameWriter;
import org.shipmate.rpc.Limits;

/** Messages over {@code tcp:} and {@code unix:/path}, by Java's own sockets. */
final class SocketMessages {
  private static final int BUFFER_BYTES = 64 << 10;

  private SocketMessages() {}

  static final class Sender implements Lending {
    private final WaitingChannel<SocketChannel> stream;

    /** Java copies what it writes in any case; here small parts become one write. */
    private final ByteBuffer out = ByteBuffer.allocateDirect(BUFFER_BYTES);

    Sender(SocketChannel channel) throws IOException {
      this.stream = new WaitingChannel<>(channel);
    }

    @Override
    public synchronized void send(ByteBuffer[] segments) {
      try {
        for (ByteBuffer part : FrameWriter.frame(segments)) {
          put(part.duplicate());
        }
        write();
      } catch (IOException e) {
        throw new DisconnectedException("the receiver is gone: " + e.getMessage(), e);
      }
    }

    @Override
    public Loan lend(int bytes) {
      return new HeapLoan(ByteBuffer.allocate(bytes).order(ByteOrder.LITTLE_ENDIAN), this);
    }

    @Override
    public void close() {
      try {
        stream.close();
      } catch (IOException e) {
        throw new DisconnectedException("the stream could not be ended: " + e.getMessage(), e);
      }
    }

    private void put(ByteBuffer part) throws IOException {
      while (part.hasRemaining()) {
        if (!out.hasRemaining()) {
          write();
        }
        int count = Math.min(part.remaining(), out.remaining());
        out.put(part.slice(part.position(), count));
        part.position(part.position() + count);
      }
    }

    private void write() throws IOException {
      boolean interrupted = false;
      try {
        out.flip();
        while (out.hasRemaining()) {
          if (stream.channel.write(out) == 0) {
            interrupted |= stream.awaitAnyway(SelectionKey.OP_WRITE);
          }
        }
      } finally {
        out.clear();
        if (interrupted) {
          Thread.currentThread().interrupt();
        }
      }
    }
  }

  private record HeapLoan(ByteBuffer memory, Sender sender) implements Loan {
    @Override
    public void publish(int used) {
      sender.send(new ByteBuffer[] {memory.slice(0, used)});
    }

    @Override
    public void cancel() {}
  }

  static final class Listener implements Listening {
    private final WaitingChannel<ServerSocketChannel> listening;
    private final Address.Socket at;

    private Listener(ServerSocketChannel channel, Address.Socket at) throws IOException {
      this.listening = new WaitingChannel<>(channel);
      this.at = at;
    }

    static Listener open(Address.Socket at) throws IOException {
      if (at instanceof Address.Unix unix) {
        ServerSocketChannel channel = ServerSocketChannel.open(StandardProtocolFamily.UNIX);
        Sockets.orClose(channel, () -> channel.bind(unix.socket()));
        return new Listener(channel, at);
      }
      Address.Tcp tcp = (Address.Tcp) at;
      ServerSocketChannel channel = ServerSocketChannel.open();
      InetAddress host = InetAddress.getByName(tcp.host());
      Sockets.orClose(channel, () -> channel.bind(new InetSocketAddress(host, tcp.port())));
      return new Listener(channel, at);
    }

    @Override
    public String address() {
      try {
        if (listening.channel.getLocalAddress() instanceof InetSocketAddress tcp) {
          String host = tcp.getAddress().getHostAddress();
          return "tcp:" + (host.contains(":") ? "[" + host + "]" : host) + ":" + tcp.getPort();
        }
        return "unix:" + ((Address.Unix) at).socket().getPath();
      } catch (IOException e) {
        throw new DisconnectedException("the listener was closed", e);
      }
    }

    @Override
    public synchronized Receiving accept(Patience patience) {
      try {
        while (true) {
          SocketChannel accepted = listening.channel.accept();
          if (accepted != null) {
            return new Receiver(accepted);
          }
          listening.await(SelectionKey.OP_ACCEPT, patience, "no sender");
        }
      } catch (IOException e) {
        throw new DisconnectedException("the listener was closed", e);
      }
    }

    @Override
    public void close() {
      try {
        listening.close();
        if (at instanceof Address.Unix unix) {
          Files.deleteIfExists(unix.socket().getPath());
        }
      } catch (IOException e) {
        throw new DisconnectedException("the listener could not be closed: " + e.getMessage(), e);
      }
    }
  }

  static final class Receiver implements Receiving {
    private final WaitingChannel<SocketChannel> stream;
    private final FrameReader frames =
        new FrameReader(Limits.DEFAULT.frameBytesMax(), Limits.DEFAULT.segmentsMax());
    private final ByteBuffer buffer = ByteBuffer.allocateDirect(BUFFER_BYTES).limit(0);

    Receiver(SocketChannel channel) throws IOException {
      this.stream = new WaitingChannel<>(channel);
    }

    @Override
    public synchronized Received next(Patience patience) {
      try {
        while (true) {
          ByteBuffer[] message = frames.nextSegments(buffer);
          if (message != null) {
            return new Received(message, null);
          }
          int count = stream.channel.read(buffer.clear());
          buffer.flip();
          if (count < 0 && frames.inMiddle()) {
            throw new DisconnectedException("the sender is gone in the middle of a message");
          }
          if (count < 0) {
            return null;
          }
          if (count == 0) {
            stream.await(SelectionKey.OP_READ, patience, "no message");
          }
        }
      } catch (FrameException e) {
        throw new DisconnectedException("the sender has sent no message: " + e.getMessage(), e);
      } catch (IOException e) {
        buffer.limit(0);
        throw new DisconnectedException("the sender is gone: " + e.getMessage(), e);
      }
    }

    @Override
    public void close() {
      try {
        stream.close();
      } catch (IOException e) {
        throw new DisconnectedException("the stream could not be closed: " + e.getMessage(), e);
      }
    }
  }
}
