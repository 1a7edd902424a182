/** Frames over a connected stream: a socket, or one end of a pair in memory. */

import type { Duplex } from "node:stream";
import { asError, Disconnected } from "./errors.js";
import { checkSent, encodeFrame, FrameDecoder, FrameError, frameBytes } from "./frame.js";
import type { Limits } from "./limits.js";
import type { Message } from "./serial.js";

export interface FrameHandler {
  /** A whole frame has come. Throwing says that the peer broke the protocol, and ends the connection. */
  frame(segments: ArrayBuffer[]): void;
  /** The last chance to tell the peer what it did wrong. */
  refuse?(error: Error): void;
  /** The connection is over. Called once, and nothing after it. */
  end(reason: Disconnected): void;
}

export class FrameSocket {
  readonly #decoder: FrameDecoder;
  #paused = false;
  #corked = false;
  #isDecoding = false;
  /** The peer has sent all that it will. */
  #hasEnded = false;
  #over: Disconnected | undefined;

  constructor(
    private readonly socket: Duplex,
    private readonly limits: Limits,
    private readonly handler: FrameHandler,
  ) {
    this.#decoder = new FrameDecoder(limits);
    socket.on("data", (chunk: Uint8Array) => {
      this.#decoder.push(chunk);
      this.#decode();
    });
    for (const event of ["end", "close"]) {
      socket.on(event, () => {
        this.#hasEnded = true;
        this.#decode();
      });
    }
    socket.on("error", (error) => this.end(error.message, error));
  }

  /** Why it is over. */
  get over(): Disconnected | undefined {
    return this.#over;
  }

  /** Whether the peer ended it, after a whole frame. */
  get endedCleanly(): boolean {
    return this.#hasEnded && !this.#decoder.isInside;
  }

  /** What waits to be written, in bytes. */
  get queuedBytes(): number {
    return this.socket.writableLength;
  }

  /** Puts a message into the queue. Gives its length. `onWritten` is called when the system has it, or never will. */
  send(message: Message, onWritten?: () => void): number {
    if (this.#over !== undefined) throw this.#over;
    const parts = encodeFrame(message);
    const bytes = frameBytes(parts.slice(1));
    checkSent(bytes, this.limits);
    // All that is sent in one turn is written at once.
    if (!this.#corked) {
      this.#corked = true;
      this.socket.cork();
      process.nextTick(() => {
        this.#corked = false;
        this.socket.uncork();
      });
    }
    for (const [index, part] of parts.entries()) {
      this.socket.write(part, index === parts.length - 1 ? onWritten : undefined);
    }
    return bytes;
  }

  /** Resolves when nothing waits to be written any more, or nothing will be. */
  async drained(): Promise<void> {
    while (this.#over === undefined && this.socket.writableNeedDrain) {
      await new Promise<void>((resolve) => {
        const done = () => {
          for (const event of ["drain", "close", "error", "end"]) this.socket.off(event, done);
          resolve();
        };
        for (const event of ["drain", "close", "error", "end"]) this.socket.on(event, done);
      });
    }
  }

  /** Reads no more, so that the peer has to wait. */
  pause(): void {
    this.#paused = true;
    this.socket.pause();
  }

  resume(): void {
    this.#paused = false;
    this.#decode();
    if (!this.#paused) this.socket.resume();
  }

  /** Writes what is queued and closes. Nothing is handled any more, and the handler is not told. */
  async close(reason: Disconnected): Promise<void> {
    this.#over ??= reason;
    if (this.socket.closed) return;
    const closed = new Promise<void>((resolve) => this.socket.once("close", resolve));
    const timer = setTimeout(() => this.socket.destroy(), this.limits.closeMillis);
    this.socket.end(() => this.socket.destroy());
    this.socket.resume();
    await closed;
    clearTimeout(timer);
  }

  /** Ends it from within, for this reason. */
  end(reason: string, cause?: Error): void {
    if (this.#over !== undefined) return;
    this.#over = new Disconnected(reason, { cause });
    this.handler.end(this.#over);
    void this.close(this.#over);
  }

  /**
   * Takes the next frame, then the one after it. Each has a turn of its own, so that what comes of one, such as a
   * long answer, is known before the next is taken up.
   */
  #decode(): void {
    if (this.#isDecoding) return;
    this.#isDecoding = true;
    queueMicrotask(() => {
      this.#isDecoding = false;
      if (this.#paused || this.#over !== undefined) return;
      try {
        const segments = this.#decoder.next();
        if (segments !== undefined) {
          this.handler.frame(segments);
          this.#decode();
        } else if (this.#hasEnded) {
          this.end(this.#decoder.isInside ? "the peer closed it in the middle of a message" : "the peer closed it");
        }
      } catch (error) {
        this.#refuse(asError(error));
      }
    });
  }

  #refuse(error: Error): void {
    this.handler.refuse?.(error);
    const what = error instanceof FrameError ? error.message : `what it sent cannot be understood: ${error.message}`;
    this.end(`the peer broke the protocol: ${what}`, error);
  }
}
