/**
 * Messages: typed, one way, one after the other, with back-pressure. The bytes are Cap'n Proto's standard stream
 * framing, which every implementation and `capnp decode` understand; large ones may stay in shared memory.
 */

import { parseAddress } from "../address.js";
import { Disconnected, ShipmateError } from "../errors.js";
import { type Fill, fill } from "../fill.js";
import { checkSent } from "../frame.js";
import { CONNECT_MILLIS, DEFAULT_LIMITS, type Limits } from "../limits.js";
import { MessageBuilder, revoke, type Struct, type StructCtor } from "../serial.js";
import { isNodes, openStream } from "../transport.js";
import { Waiting, type WaitOptions } from "../wait.js";
import { LibrarySink } from "./library.js";
import type { LentMemory, SenderOptions, Sink } from "./parts.js";
import { SocketSink } from "./sockets.js";

/** Sends messages of one type to one receiver. */
export class Sender<T extends Struct> {
  /** Whether it was said that the receiver is gone. */
  #isGone = false;

  private constructor(
    private readonly sink: Sink,
    private readonly type: StructCtor<T>,
    private readonly limits: Limits,
  ) {}

  /**
   * Connects to a receiver, which must be listening. At a `pipe:` address it waits until there is one; over shared
   * memory, until that one accepts.
   *
   * @throws {Unreachable} when there is none in time.
   */
  static async connect<T extends Struct>(
    address: string,
    type: StructCtor<T>,
    options: SenderOptions = {},
  ): Promise<Sender<T>> {
    const place = parseAddress(address);
    const limits = { ...DEFAULT_LIMITS, ...options };
    const sink = isNodes(place)
      ? new SocketSink(await openStream(place, options.timeoutMillis ?? CONNECT_MILLIS), limits)
      : await LibrarySink.connect(address, limits, options);
    return new Sender(sink, type, limits);
  }

  /**
   * Sends a message. Resolves when there is room for the next: a slow receiver makes its sender wait. Who gives up
   * waiting has sent it all the same.
   *
   * @throws {Disconnected} when the receiver is gone; what was sent just before may not have reached it either.
   * @throws {LimitError} when it is too large; the sender goes on.
   */
  send(values: Fill<T>, options: WaitOptions = {}): Promise<void> {
    return this.#sending(options, async () => {
      const message = new MessageBuilder();
      fill(message.initRoot(this.type), values);
      await this.sink.send(message);
    });
  }

  /**
   * Lends memory of so many bytes to build a message in, or somewhat more. Over shared memory, 32 KiB and more are
   * memory that the receiver sees, so that in the tier `trusted` nothing of it is copied.
   *
   * @throws {LimitError} when nothing so large may be sent; the sender goes on.
   */
  async loan(bytes: number): Promise<Loan<T>> {
    checkSent(bytes, this.limits);
    const memory = await this.sink.lend(wholeWords(bytes));
    const send = (message: MessageBuilder) => this.sink.send(message);
    return new Loan(memory, this.type, (options, work) => this.#sending(options, () => work(send)));
  }

  /**
   * Ends the stream, after all that was sent.
   *
   * @throws {Disconnected} when the library knows that not all was received, and no `send` has said so.
   */
  async finish(): Promise<void> {
    try {
      await this.sink.finish();
    } catch (error) {
      if (!this.#isGone) throw error;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.finish();
  }

  #sending(options: WaitOptions, send: () => Promise<void>): Promise<void> {
    const waiting = new Waiting<void>(options, "room for the message");
    if (!waiting.isOver) {
      send().then(
        () => waiting.resolve(),
        (error) => {
          if (waiting.reject(error)) this.#isGone ||= error instanceof Disconnected;
        },
      );
    }
    return waiting.promise;
  }
}

const WORD_BYTES = 8;

/** So many bytes and what is missing to whole words, of which a message has one at least. */
function wholeWords(bytes: number): number {
  return Math.max(WORD_BYTES, Math.ceil(bytes / WORD_BYTES) * WORD_BYTES);
}

type Send = (message: MessageBuilder) => Promise<void>;

/** Memory that a sender lends, to build one message in. It ends with `publish`, `cancel` or `using loan = …`. */
export class Loan<T extends Struct> implements Disposable {
  /**
   * The memory, of zeros. When the loan has ended it is empty in Node 22 and later. Before, it is the receiver's then,
   * or the next message's: nothing may use it any more.
   */
  readonly memory: Uint8Array;
  readonly #builder: MessageBuilder;
  #root: T | undefined;
  #hasEnded = false;

  /** @internal */
  constructor(
    private readonly lent: LentMemory,
    private readonly type: StructCtor<T>,
    private readonly sending: (options: WaitOptions, work: (send: Send) => Promise<void>) => Promise<void>,
  ) {
    this.memory = new Uint8Array(lent.memory);
    this.#builder = new MessageBuilder(lent.memory);
  }

  /** The message, to be built. What does not fit into the memory goes on elsewhere, and all of it is then copied. */
  get root(): T {
    this.#root ??= this.#builder.initRoot(this.type);
    return this.#root;
  }

  /**
   * Sends what was built. Who has written the message to `memory` as bytes says how many of them it has; what they
   * are is not checked here, but by who reads them.
   *
   * @throws {Disconnected} when the receiver is gone.
   */
  publish({ usedBytes, ...options }: WaitOptions & { readonly usedBytes?: number } = {}): Promise<void> {
    if (this.#hasEnded) return Promise.reject(new ShipmateError(ENDED));
    const segment = this.#builder.getSegment(0);
    const isInPlace = segment.buffer === this.lent.memory;
    if (usedBytes !== undefined) {
      if (!isInPlace || !(usedBytes >= 0 && usedBytes <= segment.getCapacity())) {
        return Promise.reject(
          new RangeError(`${usedBytes} bytes of a loan of ${this.memory.byteLength} cannot be used`),
        );
      }
      segment.byteLength = wholeWords(usedBytes);
    }
    this.#hasEnded = true;
    return this.sending(options, async (send) => {
      if (!isInPlace) this.lent.cancel();
      const sent = isInPlace ? this.lent.publish(this.#builder) : send(this.#builder);
      revoke(this.#builder, ENDED);
      await sent;
    });
  }

  /** Gives the memory back and sends nothing. */
  cancel(): void {
    if (this.#hasEnded) return;
    this.#hasEnded = true;
    revoke(this.#builder, ENDED);
    this.lent.cancel();
  }

  [Symbol.dispose](): void {
    this.cancel();
  }
}

const ENDED = "the loan has ended: its memory is not this program's any more";
