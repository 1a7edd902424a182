package org.shipmate.conformance;

import static org.shipmate.conformance.Expect.is;
import static org.shipmate.conformance.Expect.isSame;
import static org.shipmate.conformance.Expect.isTrue;

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import org.shipmate.rpc.Empty;
import org.shipmate.rpc.Invocation;
import org.shipmate.schema.ConformanceSchema.Conformance;
import org.shipmate.schema.ConformanceSchema.Sink;

/** Streams, whose sender is held back by what the receiver has handled. */
final class Streams {
  private static final int CHUNKS = 200;
  private static final int CHUNK_BYTES = 10_000;
  private static final long PEAK_BYTES_MAX = 1 << 20;

  private Streams() {}

  static void up(Conformance.Client server) {
    Sink.Client sink = server.openSink().pipeline().getSink();
    int sum = 0;
    for (int number = 0; number < CHUNKS; number++) {
      byte[] chunk = chunk(number);
      sum += Values.sum(chunk);
      // Returns when there is room for the next.
      sink.write(chunk);
    }
    var done = sink.done().get();
    is("the chunks", done.getChunks(), CHUNKS);
    is("the bytes", done.getBytes(), (long) CHUNKS * CHUNK_BYTES);
    is("their sum", done.getSum(), sum);
  }

  /** Takes its time over each chunk. */
  private static final class SlowSink implements Sink.Server {
    final List<byte[]> chunks = Collections.synchronizedList(new ArrayList<>());

    @Override
    public void write(Invocation<Sink.WriteParams.Reader, Empty.Builder> call)
        throws InterruptedException {
      Thread.sleep(1);
      chunks.add(call.params().getChunk().toArray());
    }

    @Override
    public void done(Invocation<Sink.DoneParams.Reader, Sink.DoneResults.Builder> call) {
      call.results().setChunks(chunks.size());
      call.results().setBytes(chunks.stream().mapToLong(chunk -> chunk.length).sum());
      call.results().setSum(chunks.stream().mapToInt(Values::sum).sum());
    }
  }

  static void down(Conformance.Client server) {
    SlowSink sink = new SlowSink();
    long peak = server.pour(Sink.serve(sink), CHUNKS, CHUNK_BYTES).get().getPeak();
    is("the number of chunks", sink.chunks.size(), CHUNKS);
    for (int number = 0; number < CHUNKS; number++) {
      isSame("chunk " + number, sink.chunks.get(number), chunk(number));
    }
    isTrue(
        "the bytes under way are at most " + PEAK_BYTES_MAX + ", and were " + peak,
        peak > 0 && peak <= PEAK_BYTES_MAX);
  }

  private static byte[] chunk(int number) {
    byte[] bytes = new byte[CHUNK_BYTES];
    for (int i = 0; i < bytes.length; i++) {
      bytes[i] = (byte) (number + i);
    }
    return bytes;
  }
}
