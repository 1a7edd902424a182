/** Receiving messages: see `sender.ts`. */

import { parseAddress } from "../address.js";
import { DEFAULT_LIMITS, type Limits } from "../limits.js";
import { LentReader, MessageReader, revoke, type Struct, type StructCtor } from "../serial.js";
import { isNodes } from "../transport.js";
import type { WaitOptions } from "../wait.js";
import { LibraryAcceptor } from "./library.js";
import type { Acceptor, Lease, MessageOptions, Source } from "./parts.js";
import { SocketAcceptor } from "./sockets.js";

/** Waits for senders at an address. */
export class MessageListener {
  private constructor(private readonly acceptor: Acceptor) {}

  /** Listens at any address. `tier` and `spinMicros` are for what is accepted over shared memory. */
  static async bind(
    address: string,
    options: Pick<MessageOptions, "tier" | "spinMicros"> = {},
  ): Promise<MessageListener> {
    const place = parseAddress(address);
    const acceptor = isNodes(place) ? SocketAcceptor.bind(place) : LibraryAcceptor.bind(address, options);
    return new MessageListener(await acceptor);
  }

  /** Where, with the port that was chosen. */
  get address(): string {
    return this.acceptor.address;
  }

  /** The next sender's messages. At a `pipe:` address this does not wait: the first message does. */
  async accept<T extends Struct>(
    type: StructCtor<T>,
    { deadlineMillis, signal, ...given }: Partial<Limits> & WaitOptions = {},
  ): Promise<Receiver<T>> {
    const limits = { ...DEFAULT_LIMITS, ...given };
    return new Receiver(await this.acceptor.accept(limits, waitOptions(deadlineMillis, signal)), type, limits);
  }

  /** Accepts no more. What was accepted goes on. */
  close(): void {
    this.acceptor.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

function waitOptions(deadlineMillis: number | undefined, signal: AbortSignal | undefined): WaitOptions {
  return { ...(deadlineMillis !== undefined && { deadlineMillis }), ...(signal && { signal }) };
}

/** Receives messages of one type from one sender: `for await (const message of receiver)`. */
export class Receiver<T extends Struct> implements AsyncIterable<T> {
  /** @internal */
  constructor(
    private readonly source: Source,
    private readonly type: StructCtor<T>,
    private readonly limits: Limits,
  ) {}

  /**
   * The next message, or `undefined` when the sender has ended the stream. It is yours, for as long as you like.
   *
   * @throws {Disconnected} when the stream ended in the middle of a message, or is none.
   */
  async receive(options: WaitOptions = {}): Promise<T | undefined> {
    const lease = await this.source.next(options);
    return lease && new MessageReader(lease.own(), this.limits).getRoot(this.type);
  }

  /**
   * The next message, as `receive` has it, but where it is: over shared memory, large parts of it are what the
   * sender has written, if the tier says so. The sender gets its memory back when the message is released.
   */
  async receiveLent(options: WaitOptions = {}): Promise<LentMessage<T> | undefined> {
    const lease = await this.source.next(options);
    return lease && new LentMessage(lease, this.type, this.limits);
  }

  /** Receives no more. What was received goes on. */
  async close(): Promise<void> {
    await this.source.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async *[Symbol.asyncIterator](): AsyncIterator<T> {
    try {
      for (let message = await this.receive(); message !== undefined; message = await this.receive()) yield message;
    } finally {
      await this.close();
    }
  }
}

/**
 * A message that is read where it is, until it is released: `using message = await receiver.receiveLent()`.
 *
 * What was forgotten is released when it is garbage collected, and that may be late.
 */
export class LentMessage<T extends Struct> implements Disposable {
  /**
   * The bytes of its segments, which may not be written: over shared memory, that ends the program. When it is
   * released they are empty in Node 22 and later. Before, they are memory of the next message then, or of none: nothing
   * may use them any more.
   */
  readonly segments: readonly Uint8Array[];
  readonly #reader: LentReader;
  #root: T | undefined;
  #isReleased = false;

  /** @internal */
  constructor(
    private readonly lease: Lease,
    private readonly type: StructCtor<T>,
    limits: Limits,
  ) {
    this.segments = lease.segments.map((segment) => new Uint8Array(segment));
    this.#reader = new LentReader([...lease.segments], limits);
  }

  /** The message. When it is released, using it throws an error; but see `segments` for views, such as of `Data`. */
  get root(): T {
    this.#root ??= this.#reader.getRoot(this.type);
    return this.#root;
  }

  /** Gives the memory back. */
  release(): void {
    if (this.#isReleased) return;
    this.#isReleased = true;
    revoke(this.#reader, "the message was released: read it before, or use `receive`, which copies it");
    this.lease.release();
  }

  [Symbol.dispose](): void {
    this.release();
  }
}
