/** What an object of the library sends: while a thread does that, what is sent next is gathered, and goes together. */

import { asError } from "../errors.js";
import { segmentsOf } from "../frame.js";
import type { MessageBuilder } from "../serial.js";
import type { Endpoint } from "./endpoint.js";
import type { Call, FunctionName } from "./library.js";

/** So much may wait for a slow receiver, or be under way, before its sender waits too. */
const QUEUE_BYTES_MAX = 64 << 10;

const WORD_BYTES = 8;

export class Outbox {
  #calls: Call[] = [];
  /** The memory that they read. */
  #kept: unknown[] = [];
  #bytes = 0;
  #sending: Promise<void> | undefined;
  #failed: Error | undefined;

  constructor(private readonly endpoint: Endpoint) {}

  /** Sends a message by a function that copies it. Resolves when there is room for the next. */
  send(name: FunctionName, message: MessageBuilder): Promise<void> {
    const { library, handle } = this.endpoint;
    const segments = segmentsOf(message);
    // `struct shipmate_segment`, for each.
    const table = new BigUint64Array(new ArrayBuffer(2 * WORD_BYTES * segments.length));
    let bytes = 0;
    for (const [index, { buffer, byteLength }] of segments.entries()) {
      table[2 * index] = library.addressOf(buffer);
      table[2 * index + 1] = BigInt(byteLength);
      bytes += byteLength;
    }
    return this.put([name, handle, library.addressOf(table.buffer), segments.length], bytes, [table, segments]);
  }

  /** Sends so many bytes by a call. */
  async put(call: Call, bytes: number, kept?: unknown): Promise<void> {
    this.#check();
    this.#calls.push(call);
    this.#kept.push(kept);
    this.#bytes += bytes;
    this.#sending ??= this.#sendAll();
    while (this.#bytes > QUEUE_BYTES_MAX && this.#failed === undefined) await this.#sending;
    this.#check();
  }

  /**
   * Ends the stream, after all that was sent, by a function that closes the object.
   *
   * @throws {Disconnected} when not all of it could be sent.
   */
  async finish(name: FunctionName): Promise<void> {
    await this.#sending;
    const finished = this.endpoint.finish(name, "this program ended the stream");
    if (this.#failed === undefined) return finished;
    // What went wrong first is what matters.
    await finished.catch(() => {});
    throw this.#failed;
  }

  #check(): void {
    const wrong = this.#failed ?? this.endpoint.over;
    if (wrong !== undefined) throw wrong;
  }

  async #sendAll(): Promise<void> {
    // All that is sent in one turn goes together.
    await undefined;
    // Also when it has failed: each loan is to be taken back.
    while (this.#calls.length > 0) {
      const [calls, kept, bytes] = [this.#calls, this.#kept, this.#bytes];
      [this.#calls, this.#kept] = [[], []];
      try {
        await this.endpoint.elsewhere(calls, kept);
      } catch (error) {
        this.#failed ??= asError(error);
      }
      this.#bytes -= bytes;
    }
    this.#sending = undefined;
  }
}
