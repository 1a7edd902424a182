package org.shipmate;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.SocketChannel;
import java.util.Optional;
import org.capnproto.StructFactory;
import org.capnproto.StructReader;
import org.shipmate.rpc.FrameException;
import org.shipmate.rpc.FrameReader;
import org.shipmate.rpc.Limits;
import org.shipmate.rpc.MessageArena;

/**
 * The messages of one sender, in order.
 *
 * @param <R> the reader of the messages' type
 */
public final class MessageReceiver<R extends StructReader> implements AutoCloseable {
  private static final int READ_BYTES = 64 << 10;

  private final SocketChannel channel;
  private final StructFactory<?, R> type;
  private final FrameReader frames;
  private final ByteBuffer buffer = ByteBuffer.allocateDirect(READ_BYTES).limit(0);

  MessageReceiver(SocketChannel channel, StructFactory<?, R> type, Limits limits) {
    this.channel = channel;
    this.type = type;
    this.frames = new FrameReader(limits.frameBytesMax(), limits.segmentsMax());
  }

  /**
   * Waits for the next message. It is empty when the sender has ended the stream.
   *
   * @throws DisconnectedException when the sender is gone in the middle of a message, or sends what
   *     is no message or a larger one than is allowed
   */
  public synchronized Optional<R> receive() {
    try {
      while (true) {
        MessageArena message = frames.next(buffer);
        if (message != null) {
          return Optional.of(message.root(type));
        }
        int count = channel.read(buffer.clear());
        buffer.flip();
        if (count < 0 && frames.inMiddle()) {
          throw new DisconnectedException("the sender is gone in the middle of a message");
        }
        if (count < 0) {
          return Optional.empty();
        }
      }
    } catch (FrameException e) {
      throw new DisconnectedException("the sender has sent no message: " + e.getMessage(), e);
    } catch (IOException e) {
      throw new DisconnectedException("the sender is gone: " + e.getMessage(), e);
    }
  }

  @Override
  public void close() {
    try {
      channel.close();
    } catch (IOException e) {
      throw new DisconnectedException("the stream could not be closed: " + e.getMessage(), e);
    }
  }
}
