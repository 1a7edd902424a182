package org.shipmate;

import com.sun.jna.LastErrorException;
import com.sun.jna.Memory;
import com.sun.jna.NativeLong;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import org.shipmate.rpc.Transport;

/**
 * A socket that Java cannot make: one from {@code libshipmate}, which carries any transport, or one
 * in Linux's abstract namespace. Java cannot take a descriptor over either, so it is used through
 * JNA.
 */
final class NativeTransport implements Transport {
  private static final int WRITE_BYTES = 64 << 10;

  // Linux's constants.
  private static final int AF_UNIX = 1;
  private static final int SOCK_STREAM = 1;
  private static final int SOCK_CLOEXEC = 0x80000;
  private static final int EFD_NONBLOCK = 0x800;
  private static final int EFD_CLOEXEC = 0x80000;
  private static final int MSG_DONTWAIT = 0x40;
  private static final int MSG_NOSIGNAL = 0x4000;
  private static final short POLLIN = 1;
  private static final short POLLOUT = 4;
  private static final int EINTR = 4;
  private static final int EAGAIN = 11;
  private static final NativeLong WORD = new NativeLong(8);

  private final int socket;
  private final int wakeup;
  private final Memory polled = new Memory(16);
  private final Memory counter = new Memory(8);
  private final Memory one = new Memory(8);
  private final ByteBuffer out = ByteBuffer.allocateDirect(WRITE_BYTES);
  private boolean closed;

  private NativeTransport(int socket) {
    this.socket = socket;
    this.wakeup = LibC.INSTANCE.eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    one.setLong(0, 1);
    polled.clear();
    polled.setInt(0, socket);
    polled.setInt(8, wakeup);
    polled.setShort(12, POLLIN);
  }

  static Transport connect(Address address) throws IOException {
    try {
      return new NativeTransport(
          address instanceof Address.Abstract name
              ? connectAbstract(name.name())
              : LibShipmate.connect(((Address.Native) address).text()));
    } catch (LastErrorException e) {
      throw error(e);
    }
  }

  @Override
  public int read(ByteBuffer into) throws IOException {
    try {
      NativeLong size = new NativeLong(into.remaining());
      int count = LibC.INSTANCE.recv(socket, into.slice(), size, MSG_DONTWAIT).intValue();
      into.position(into.position() + count);
      return count == 0 ? -1 : count;
    } catch (LastErrorException e) {
      return zeroIfAgain(e);
    }
  }

  @Override
  public synchronized long write(ByteBuffer[] from, int count) throws IOException {
    if (closed) {
      throw new IOException("the connection was closed");
    }
    out.clear();
    for (int i = 0; i < count && out.hasRemaining(); i++) {
      ByteBuffer part = from[i].duplicate();
      part.limit(part.position() + Math.min(part.remaining(), out.remaining()));
      out.put(part);
    }
    long written;
    try {
      NativeLong size = new NativeLong(out.flip().remaining());
      written = LibC.INSTANCE.send(socket, out, size, MSG_DONTWAIT | MSG_NOSIGNAL).longValue();
    } catch (LastErrorException e) {
      return zeroIfAgain(e);
    }
    long left = written;
    for (int i = 0; left > 0; i++) {
      int step = (int) Math.min(left, from[i].remaining());
      from[i].position(from[i].position() + step);
      left -= step;
    }
    return written;
  }

  @Override
  public void await(boolean writable) throws IOException {
    polled.setShort(4, (short) (POLLIN | (writable ? POLLOUT : 0)));
    try {
      LibC.INSTANCE.poll(polled, new NativeLong(2), -1);
      LibC.INSTANCE.read(wakeup, counter, WORD);
    } catch (LastErrorException e) {
      zeroIfAgain(e);
    }
  }

  @Override
  public synchronized void wakeup() {
    if (!closed) {
      LibC.INSTANCE.write(wakeup, one, WORD);
    }
  }

  @Override
  public synchronized void close() {
    if (!closed) {
      closed = true;
      LibC.INSTANCE.close(socket);
      LibC.INSTANCE.close(wakeup);
    }
  }

  private static int connectAbstract(String name) throws IOException {
    byte[] bytes = name.getBytes(StandardCharsets.UTF_8);
    // The family, a NUL, and the name to the end.
    ByteBuffer address = ByteBuffer.allocate(3 + bytes.length).order(ByteOrder.nativeOrder());
    address.putShort((short) AF_UNIX).put((byte) 0).put(bytes);
    int socket = LibC.INSTANCE.socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    try {
      LibC.INSTANCE.connect(socket, address.array(), address.capacity());
    } catch (LastErrorException e) {
      LibC.INSTANCE.close(socket);
      throw e;
    }
    return socket;
  }

  private static int zeroIfAgain(LastErrorException e) throws IOException {
    if (e.getErrorCode() == EAGAIN || e.getErrorCode() == EINTR) {
      return 0;
    }
    throw error(e);
  }

  private static IOException error(LastErrorException e) {
    return new IOException(e.getMessage(), e);
  }
}
