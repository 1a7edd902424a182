package org.shipmate.rpc;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.SelectionKey;
import java.nio.channels.Selector;
import java.nio.channels.SocketChannel;

/** A connected socket of Java's own. */
public final class SocketTransport implements Transport {
  private final SocketChannel channel;
  private final Selector selector;
  private final SelectionKey key;

  /** Takes the channel over: it is closed with this. */
  public SocketTransport(SocketChannel channel) throws IOException {
    this.channel = channel;
    // An interrupt of a thread closes a channel that blocks; one that does not is safe from it.
    channel.configureBlocking(false);
    this.selector = channel.provider().openSelector();
    this.key = channel.register(selector, SelectionKey.OP_READ);
  }

  @Override
  public int read(ByteBuffer into) throws IOException {
    return channel.read(into);
  }

  @Override
  public long write(ByteBuffer[] from, int count) throws IOException {
    return channel.write(from, 0, count);
  }

  @Override
  public void await(boolean writable) throws IOException {
    key.interestOps(SelectionKey.OP_READ | (writable ? SelectionKey.OP_WRITE : 0));
    selector.select();
    selector.selectedKeys().clear();
  }

  @Override
  public void wakeup() {
    selector.wakeup();
  }

  @Override
  public void close() throws IOException {
    // The channel last: a selector keeps the descriptor of a closed channel until its next select.
    selector.close();
    channel.close();
  }
}
