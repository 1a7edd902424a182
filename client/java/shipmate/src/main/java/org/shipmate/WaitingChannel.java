package org.shipmate;

import java.io.Closeable;
import java.io.IOException;
import java.nio.channels.CancelledKeyException;
import java.nio.channels.ClosedChannelException;
import java.nio.channels.ClosedSelectorException;
import java.nio.channels.SelectableChannel;
import java.nio.channels.SelectionKey;
import java.nio.channels.Selector;

/** Waits for a channel. An interrupt of the thread, which would close one that blocks, does not. */
final class WaitingChannel<C extends SelectableChannel> implements Closeable {
  private static final long LONGEST_MILLIS = 3_600_000;

  final C channel;
  private final Selector selector;
  private final SelectionKey key;

  /** Takes the channel over, also when it fails. */
  WaitingChannel(C channel) throws IOException {
    this.channel = channel;
    try {
      channel.configureBlocking(false);
      this.selector = channel.provider().openSelector();
    } catch (IOException e) {
      channel.close();
      throw e;
    }
    this.key = channel.register(selector, 0);
  }

  /** Waits as long as the patience lasts. {@code missing} is for its error. */
  void await(int operations, Patience patience, String missing) throws IOException {
    patience.check(missing);
    select(operations, patience.millisLeft(LONGEST_MILLIS));
  }

  /** Waits whatever the thread is told, and gives whether it was told to stop. */
  boolean awaitAnyway(int operations) throws IOException {
    // A thread that is interrupted would not wait.
    boolean interrupted = Thread.interrupted();
    select(operations, LONGEST_MILLIS);
    return interrupted;
  }

  private void select(int operations, long millis) throws IOException {
    try {
      key.interestOps(operations);
      selector.select(Math.max(1, millis));
      selector.selectedKeys().clear();
    } catch (ClosedSelectorException | CancelledKeyException e) {
      throw (IOException) new ClosedChannelException().initCause(e);
    }
  }

  @Override
  public void close() throws IOException {
    // The channel last: a selector keeps the descriptor of a closed channel until its next select.
    selector.close();
    channel.close();
  }
}
