/** Messages through the C library: over every address, and in shared memory. */

import { Disconnected } from "../errors.js";
import { checkReceived, checkSent, frameBytes, segmentsOf } from "../frame.js";
import { CONNECT_MILLIS, type Limits } from "../limits.js";
import { Endpoint } from "../native/endpoint.js";
import { detach, NativeLease } from "../native/lease.js";
import { type Address, type FunctionName, type NativeOptions, nativeOptions, type Outcome } from "../native/library.js";
import { Outbox } from "../native/outbox.js";
import type { Threads } from "../native/threads.js";
import type { MessageBuilder } from "../serial.js";
import type { WaitOptions } from "../wait.js";
import {
  type Acceptor,
  type Lease,
  type LentMemory,
  LISTENER_CLOSED,
  type MessageOptions,
  RECEIVER_CLOSED,
  type SenderOptions,
  type Sink,
  type Source,
} from "./parts.js";

export class LibrarySink implements Sink {
  readonly #outbox: Outbox;

  private constructor(
    private readonly sender: Endpoint,
    private readonly limits: Limits,
  ) {
    this.#outbox = new Outbox(sender);
  }

  static async connect(address: string, limits: Limits, options: SenderOptions): Promise<LibrarySink> {
    const sender = await Endpoint.open("sender_open", address, connectOptions(options));
    return new LibrarySink(sender, limits);
  }

  async send(message: MessageBuilder): Promise<void> {
    checkSent(frameBytes(segmentsOf(message)), this.limits);
    await this.#outbox.send("sender_send", message);
  }

  async lend(bytes: number): Promise<LentMemory> {
    const { library, handle } = this.sender;
    const { given } = await this.sender.here("sender_loan", handle, bytes);
    const [loan, place] = given as [Address, Address];
    const memory = library.view(place, bytes);
    const cancel = () => {
      detach(memory);
      library.call("loan_cancel", loan);
    };
    return {
      memory,
      cancel,
      publish: async (message) => {
        const { byteLength } = message.getSegment(0);
        if (this.sender.over !== undefined) {
          cancel();
          throw this.sender.over;
        }
        detach(memory);
        await this.#outbox.put(["loan_publish", loan, byteLength], byteLength);
      },
    };
  }

  finish(): Promise<void> {
    return this.#outbox.finish("sender_close");
  }
}

export class LibraryAcceptor implements Acceptor {
  private constructor(
    private readonly listener: Listener,
    readonly address: string,
  ) {}

  static async bind(address: string, options: MessageOptions): Promise<LibraryAcceptor> {
    const listener = await Listener.at(address, nativeOptions(options));
    const { result } = await listener.here("listener_address", listener.handle);
    return new LibraryAcceptor(listener, result as string);
  }

  async accept(limits: Limits, options: WaitOptions): Promise<Source> {
    return new LibrarySource(await this.listener.next(options), limits);
  }

  close(): void {
    void this.listener.end(LISTENER_CLOSED);
  }
}

/** The messages of one sender. */
export class LibrarySource implements Source {
  constructor(
    private readonly receiver: Messages,
    private readonly limits: Limits,
  ) {}

  async next(options: WaitOptions): Promise<Lease | undefined> {
    const lease = await this.receiver.next(options);
    if (lease === undefined) return undefined;
    try {
      checkReceived(lease.segments, this.limits);
    } catch (error) {
      lease.release();
      await this.close();
      throw new Disconnected(`the peer broke the protocol: ${(error as Error).message}`, { cause: error });
    }
    return lease;
  }

  close(): Promise<void> {
    return this.receiver.end(RECEIVER_CLOSED);
  }
}

/** An endpoint that things come to, by a function that takes a timeout. */
abstract class Arrivals<T> extends Endpoint {
  /** What came when nobody waited for it any more. */
  readonly #missed: { value: T }[] = [];

  protected constructor(
    threads: Threads,
    handle: Address,
    address: string,
    private readonly what: string,
    private readonly name: FunctionName,
    private readonly closing: FunctionName,
  ) {
    super(threads, handle, address);
  }

  protected abstract read(outcome: Outcome): T;
  protected abstract drop(value: T): void;

  next(options: WaitOptions): Promise<T> {
    return this.wait(
      options,
      this.what,
      [this.name, this.handle],
      (outcome) => this.read(outcome),
      () => this.#missed.shift(),
      (value) => this.#missed.push({ value }),
    );
  }

  async end(reason: string): Promise<void> {
    await this.close(reason, () => {
      for (const { value } of this.#missed.splice(0)) this.drop(value);
      this.library.call(this.closing, this.handle);
    });
  }
}

class Listener extends Arrivals<Messages> {
  static async at(address: string, options: NativeOptions): Promise<Listener> {
    const [threads, handle] = await Endpoint.opened("receiver_listen", address, options);
    return new Listener(threads, handle, address, "sender", "receiver_accept", "listener_close");
  }

  protected override read({ given }: Outcome): Messages {
    return new Messages(this.threads, given[0] as Address, this.address, "receiver_receive", "receiver_close");
  }

  protected override drop(receiver: Messages): void {
    void receiver.end(LISTENER_CLOSED);
  }
}

class Messages extends Arrivals<NativeLease | undefined> {
  constructor(threads: Threads, handle: Address, address: string, name: FunctionName, closing: FunctionName) {
    super(threads, handle, address, "message", name, closing);
  }

  protected override read({ result, given }: Outcome): NativeLease | undefined {
    return result === 1 ? new NativeLease(this.library, given[0] as Address) : undefined;
  }

  protected override drop(lease: NativeLease | undefined): void {
    lease?.release();
  }
}

/** A subscriber's messages. */
export class Subscription extends Messages {
  /** So many messages were lost in all before the one that was taken last. */
  lost = 0;
  readonly #lost = new WeakMap<NativeLease, number>();

  static async to(address: string, policy: number, options: SenderOptions): Promise<Subscription> {
    const opened = await Endpoint.opened("subscriber_open", address, policy, connectOptions(options));
    return new Subscription(...opened, address, "subscriber_receive", "subscriber_close");
  }

  override async next(options: WaitOptions): Promise<NativeLease | undefined> {
    const lease = await super.next(options);
    if (lease !== undefined) this.lost = this.#lost.get(lease) ?? 0;
    return lease;
  }

  protected override read(outcome: Outcome): NativeLease | undefined {
    const lease = super.read(outcome);
    // Here, where nobody else waits by the handle.
    const { result } = this.library.call("subscriber_lost", this.handle);
    if (lease !== undefined) this.#lost.set(lease, Number(result));
    return lease;
  }
}

function connectOptions({ timeoutMillis = CONNECT_MILLIS, ...options }: SenderOptions): NativeOptions {
  return nativeOptions({ timeoutMillis: Math.max(timeoutMillis, 1), ...options });
}
