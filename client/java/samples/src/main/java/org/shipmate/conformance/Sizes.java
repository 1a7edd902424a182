package org.shipmate.conformance;

import static org.shipmate.conformance.Expect.is;
import static org.shipmate.conformance.Expect.isSame;

import org.capnproto.Data;
import org.shipmate.schema.ConformanceSchema.Conformance;

/** Messages of many segments, and large ones. */
final class Sizes {
  private static final int MIB = 1 << 20;
  private static final int PARTS = 20;

  private Sizes() {}

  static void multiSegment(Conformance.Client server) {
    var call =
        server.segments(
            params -> {
              var parts = params.initParts(PARTS);
              for (int i = 0; i < PARTS; i++) {
                parts.set(i, new Data.Reader(pattern(partBytes(i))));
              }
            });
    var parts = call.get().getParts();
    is("the number of parts", parts.size(), PARTS);
    for (int i = 0; i < PARTS; i++) {
      isSame("part " + i, parts.get(i).toArray(), pattern(partBytes(i)));
    }
  }

  private static int partBytes(int part) {
    return 3_000 + 1_000 * part;
  }

  static void large(Conformance.Client server) {
    echo(server, MIB);
    fetch(server, MIB);
    fetch(server, 32 * MIB);
    echo(server, 32 * MIB);
  }

  private static void echo(Conformance.Client server, int bytes) {
    byte[] data = pattern(bytes);
    var response = server.data(data).get();
    is("the sum of " + bytes + " bytes", response.getSum(), Values.sum(data));
    isSame(bytes + " bytes, echoed", response.getValue().toArray(), data);
  }

  private static void fetch(Conformance.Client server, int bytes) {
    isSame(bytes + " bytes", server.large(bytes).get().getValue().toArray(), pattern(bytes));
  }

  /** The bytes of {@code large}. */
  static byte[] pattern(int length) {
    byte[] bytes = new byte[length];
    for (int i = 0; i < length; i++) {
      bytes[i] = (byte) (i * 31 + 7);
    }
    return bytes;
  }
}
