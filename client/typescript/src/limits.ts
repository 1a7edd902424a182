/** What one connection may use: every bound, with its unit in its name. */
export interface Limits {
  /** The largest frame (segment table and segments) that is accepted or sent. */
  readonly frameBytesMax: number;
  /** The most segments in a frame that is accepted. */
  readonly segmentsMax: number;
  /** How deeply pointers may nest in a message that was received. */
  readonly nestingMax: number;
  /** How much reading a received message may allocate, for structs of an older schema and defaults. */
  readonly readingBytesMax: number;
  /** While this many calls of the peer are being worked on, further ones are answered with `overloaded`. */
  readonly callsInFlightMax: number;
  /** A peer that leaves more than this many answers unfinished (Cap'n Proto's `Finish`) is disconnected. */
  readonly answersOpenMax: number;
  /** While more than this waits to be written to a slow peer, nothing more is read from it. */
  readonly outgoingBytesMax: number;
  /** A call that would make the queue of what waits to be written longer than this fails with a `LimitError`. */
  readonly queueBytesMax: number;
  /** How long the last bytes of a connection that is being closed may take. */
  readonly closeMillis: number;
}

export const DEFAULT_LIMITS: Limits = {
  frameBytesMax: 64 << 20,
  segmentsMax: 512,
  nestingMax: 64,
  readingBytesMax: 64 << 20,
  callsInFlightMax: 1024,
  answersOpenMax: 64 << 10,
  outgoingBytesMax: 4 << 20,
  queueBytesMax: 256 << 20,
  closeMillis: 5000,
};

/** How much a stream (`-> stream`) sends ahead of what was handled, for each capability. */
export const STREAM_WINDOW_BYTES = 256 << 10;

/** How long connecting may take, if nothing else is said. */
export const CONNECT_MILLIS = 10_000;
