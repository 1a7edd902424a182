package org.shipmate.rpc;

/**
 * What a peer may use of this process. Every queue and every allocation has its bound here.
 *
 * @param frameBytesMax the largest message that is accepted; a larger one ends the connection
 * @param segmentsMax the most segments in one message
 * @param incomingCallsMax calls of the peer that are at work; a further one fails as overloaded
 * @param incomingBytesMax the messages of such calls, together; a further one fails as overloaded
 * @param unfinishedCallsMax calls that the peer has not finished; one more ends the connection
 * @param outgoingBytesMax what may wait to be written; a caller beyond it waits
 * @param streamWindowBytes what one stream may have unanswered; its writer beyond it waits
 */
public record Limits(
    int frameBytesMax,
    int segmentsMax,
    int incomingCallsMax,
    long incomingBytesMax,
    int unfinishedCallsMax,
    long outgoingBytesMax,
    long streamWindowBytes) {
  private static final int MIB = 1 << 20;

  /** Enough for most programs. */
  public static final Limits DEFAULT =
      new Limits(64 * MIB, 512, 1_000, 64L * MIB, 10_000, 16L * MIB, MIB / 4);
}
