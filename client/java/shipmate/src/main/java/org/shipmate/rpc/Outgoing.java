package org.shipmate.rpc;

import java.nio.ByteBuffer;
import java.util.List;
import org.capnproto.BuilderArena;
import org.capnproto.MessageBuilder;

/** A message of the protocol that is being built. */
final class Outgoing {
  private static final int FIRST_SEGMENT_WORDS = 64;
  private static final int WORD = 8;

  final RpcSchema.Message.Builder message;
  private final MessageBuilder builder = new MessageBuilder(FIRST_SEGMENT_WORDS);
  private final BuilderArena arena;

  Outgoing() {
    this.arena = builder.getRoot(Place.BUILD).segment().getArena();
    this.message = builder.initRoot(RpcSchema.Message.factory);
  }

  /** The capabilities in it. They belong to the message. */
  List<Reference> references() {
    return CapTable.find(arena);
  }

  void closeReferences() {
    references().forEach(Reference::close);
  }

  long bytes() {
    return arena.segments.stream().mapToLong(segment -> (long) segment.currentSize() * WORD).sum();
  }

  /** The frame to write: the table of segments, then each of them. */
  ByteBuffer[] frame() {
    return FrameWriter.frame(builder.getSegmentsForOutput());
  }
}
