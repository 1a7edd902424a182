/**
 * Cap'n Proto's standard stream framing, without any I/O: bytes in, messages out.
 *
 * A frame is the number of segments less 1, then the length of each in words of 8 bytes (all 32 bits,
 * little-endian), padding to a full word, and the segments.
 */

import { LimitError } from "./errors.js";
import type { Limits } from "./limits.js";
import type { Message } from "./serial.js";

/** Bytes that are no frame, or one that is larger than allowed: the peer's fault. */
export class FrameError extends Error {}

/** Takes bytes as they come and gives the segments of whole frames. Memory is taken as bytes come, never ahead. */
export class FrameDecoder {
  readonly #chunks: Uint8Array[] = [];
  #buffered = 0;
  /** The lengths of the segments in bytes, once the table has come. */
  #lengths: number[] | undefined;

  constructor(private readonly limits: Limits) {}

  push(chunk: Uint8Array): void {
    this.#chunks.push(chunk);
    this.#buffered += chunk.byteLength;
  }

  /** Whether the bytes end inside a frame. */
  get isInside(): boolean {
    return this.#buffered > 0 || this.#lengths !== undefined;
  }

  /** The segments of the next frame, or `undefined` until more bytes have come. */
  next(): ArrayBuffer[] | undefined {
    this.#lengths ??= this.#takeTable();
    if (this.#lengths === undefined || this.#buffered < sum(this.#lengths)) return undefined;
    const segments = this.#lengths.map((length) => this.#take(length).buffer);
    this.#lengths = undefined;
    return segments;
  }

  #takeTable(): number[] | undefined {
    const first = this.#peek(4);
    if (first === undefined) return undefined;
    const count = first.getUint32(0, true) + 1;
    checkCount(count, this.limits);
    const tableBytes = tableBytesOf(count);
    if (this.#buffered < tableBytes) return undefined;
    const table = new DataView(this.#take(tableBytes).buffer);
    const lengths = Array.from({ length: count }, (_, index) => table.getUint32(4 + 4 * index, true) * 8);
    checkBytes(tableBytes + sum(lengths), this.limits);
    return lengths;
  }

  #peek(length: number): DataView | undefined {
    if (this.#buffered < length) return undefined;
    const [first] = this.#chunks;
    if (first !== undefined && first.byteLength >= length) return new DataView(first.buffer, first.byteOffset, length);
    const bytes = this.#take(length);
    this.#chunks.unshift(bytes);
    this.#buffered += length;
    return new DataView(bytes.buffer);
  }

  /** The next bytes, of which there are enough, in memory of their own. */
  #take(length: number): Uint8Array<ArrayBuffer> {
    const bytes = new Uint8Array(length);
    let filled = 0;
    while (filled < length) {
      const chunk = this.#chunks[0];
      if (chunk === undefined) throw new RangeError("fewer bytes than were counted");
      const part = chunk.subarray(0, length - filled);
      bytes.set(part, filled);
      filled += part.byteLength;
      if (part.byteLength === chunk.byteLength) this.#chunks.shift();
      else this.#chunks[0] = chunk.subarray(part.byteLength);
    }
    this.#buffered -= length;
    return bytes;
  }
}

/** What was built, in place: each segment as far as it is used. */
export function segmentsOf(message: Message): Uint8Array<ArrayBuffer>[] {
  // Makes the first segment, if nothing was built yet.
  message.getSegment(0);
  return message._capnp.segments.map(({ buffer, byteLength }) => new Uint8Array(buffer as ArrayBuffer, 0, byteLength));
}

/** A frame, in parts that are written one after the other: the table, and the segments in place. */
export function encodeFrame(message: Message): Uint8Array[] {
  const segments = segmentsOf(message);
  const table = new DataView(new ArrayBuffer(tableBytesOf(segments.length)));
  table.setUint32(0, segments.length - 1, true);
  for (const [index, segment] of segments.entries()) table.setUint32(4 + 4 * index, segment.byteLength / 8, true);
  return [new Uint8Array(table.buffer), ...segments];
}

/** @throws {LimitError} when a frame of so many bytes may not be sent. */
export function checkSent(bytes: number, { frameBytesMax }: Limits): void {
  if (bytes > frameBytesMax) {
    throw new LimitError("frameBytesMax", frameBytesMax, bytes, "split it, or raise the limit on both sides");
  }
}

/** @throws {FrameError} for the segments of a message that came otherwise, and is larger than allowed. */
export function checkReceived(segments: readonly ArrayBuffer[], limits: Limits): void {
  checkCount(segments.length, limits);
  checkBytes(frameBytes(segments), limits);
}

function checkCount(segments: number, { segmentsMax }: Limits): void {
  if (segments > segmentsMax) {
    throw new FrameError(`a frame of ${segments} segments, and at most ${segmentsMax} are accepted`);
  }
}

function checkBytes(bytes: number, { frameBytesMax }: Limits): void {
  if (bytes > frameBytesMax) {
    throw new FrameError(`a frame of ${bytes} bytes, and at most ${frameBytesMax} are accepted`);
  }
}

/** How long the frame of these segments is. */
export function frameBytes(segments: readonly { readonly byteLength: number }[]): number {
  return tableBytesOf(segments.length) + sum(segments.map(({ byteLength }) => byteLength));
}

/** How long the table of so many segments is, with its padding. */
function tableBytesOf(segments: number): number {
  return (4 + 4 * segments + 7) & ~7;
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((sum, number) => sum + number, 0);
}
