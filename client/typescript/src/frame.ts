/**
 * Cap'n Proto's standard stream framing, without any I/O: bytes in, messages out.
 *
 * A frame is the number of segments less 1, then the length of each in words of 8 bytes (all 32 bits,
 * little-endian), padding to a full word, and the segments.
 */

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
    if (count > this.limits.segmentsMax) {
      throw new FrameError(`a frame of ${count} segments, and at most ${this.limits.segmentsMax} are accepted`);
    }
    const tableBytes = (4 + 4 * count + 7) & ~7;
    if (this.#buffered < tableBytes) return undefined;
    const table = new DataView(this.#take(tableBytes).buffer);
    const lengths = Array.from({ length: count }, (_, index) => table.getUint32(4 + 4 * index, true) * 8);
    const bytes = tableBytes + sum(lengths);
    if (bytes > this.limits.frameBytesMax) {
      throw new FrameError(`a frame of ${bytes} bytes, and at most ${this.limits.frameBytesMax} are accepted`);
    }
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

/** A frame, in parts that are written one after the other: the table, and the segments in place. */
export function encodeFrame(message: Message): Uint8Array[] {
  // Makes the first segment, if nothing was built yet.
  message.getSegment(0);
  const { segments } = message._capnp;
  const table = new DataView(new ArrayBuffer((4 + 4 * segments.length + 7) & ~7));
  table.setUint32(0, segments.length - 1, true);
  for (const [index, segment] of segments.entries()) table.setUint32(4 + 4 * index, segment.byteLength / 8, true);
  const bodies = segments.map((segment) => new Uint8Array(segment.buffer, 0, segment.byteLength));
  return [new Uint8Array(table.buffer), ...bodies];
}

/** How long a frame is. */
export function frameBytes(parts: readonly Uint8Array[]): number {
  return parts.reduce((bytes, part) => bytes + part.byteLength, 0);
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((sum, number) => sum + number, 0);
}
