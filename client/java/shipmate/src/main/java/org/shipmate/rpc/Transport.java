package org.shipmate.rpc;

import java.io.Closeable;
import java.io.IOException;
import java.nio.ByteBuffer;

/**
 * A stream of bytes to a peer, in both directions, that never waits but in {@link #await}.
 *
 * <p>One thread at a time reads and awaits; one at a time writes; any thread may wake up or close.
 */
public interface Transport extends Closeable {
  /** Reads what there is. Gives the number of bytes, 0 where there are none yet, -1 at the end. */
  int read(ByteBuffer into) throws IOException;

  /** Writes what can be written now of these buffers, {@code count} from the first, in order. */
  long write(ByteBuffer[] from, int count) throws IOException;

  /**
   * Waits until there is something to read, or room to write if that is asked for, or a wake-up.
   */
  void await(boolean writable) throws IOException;

  /** Ends the wait, or the next one. */
  void wakeup();
}
