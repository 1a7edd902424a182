/** One to many, over shared memory: each message is written once, into a ring that all subscribers see. */

import { parseAddress } from "../address.js";
import { AddressError, LimitError } from "../errors.js";
import { type Fill, fill } from "../fill.js";
import { frameBytes, segmentsOf } from "../frame.js";
import { DEFAULT_LIMITS } from "../limits.js";
import { Endpoint } from "../native/endpoint.js";
import { nativeOptions } from "../native/library.js";
import { Outbox } from "../native/outbox.js";
import { MessageBuilder, type Struct, type StructCtor } from "../serial.js";
import type { WaitOptions } from "../wait.js";
import { LibrarySource, Subscription } from "./library.js";
import type { SenderOptions } from "./parts.js";
import { Receiver } from "./receiver.js";

export interface PublishOptions {
  /** The ring: a power of two from 4096 to 2^30. A message may have a quarter of it. 4 MiB, if not said. */
  readonly ringBytes?: number;
}

const RING_BYTES = 4 << 20;

/** Publishes messages of one type to all who subscribe. */
export class Publisher<T extends Struct> {
  readonly #outbox: Outbox;

  private constructor(
    private readonly publisher: Endpoint,
    private readonly type: StructCtor<T>,
    private readonly ringBytes: number,
  ) {
    this.#outbox = new Outbox(publisher);
  }

  /** Waits for subscribers at a `shm:` address. */
  static async bind<T extends Struct>(
    address: string,
    type: StructCtor<T>,
    { ringBytes = RING_BYTES }: PublishOptions = {},
  ): Promise<Publisher<T>> {
    checkAddress(address);
    return new Publisher(await Endpoint.open("publisher_open", address, ringBytes, nativeOptions({})), type, ringBytes);
  }

  /** Where. */
  get address(): string {
    return this.publisher.address;
  }

  /** Resolves when there are so many subscribers. */
  async subscribed(count: number, options: WaitOptions = {}): Promise<void> {
    const { handle } = this.publisher;
    await this.publisher.wait(options, "subscriber", ["publisher_wait", handle, count], () => {});
  }

  /**
   * Publishes a message to all who have subscribed. It waits for those that block and have not read enough.
   *
   * @throws {LimitError} when it is larger than a quarter of the ring; the publisher goes on.
   */
  async send(values: Fill<T>): Promise<void> {
    const message = new MessageBuilder();
    fill(message.initRoot(this.type), values);
    const bytes = frameBytes(segmentsOf(message));
    const bytesMax = this.ringBytes / 4 - RECORD_BYTES;
    if (bytes > bytesMax) {
      throw new LimitError("ringBytes / 4", bytesMax, bytes, "split it, or give the publisher a larger ring");
    }
    await this.#outbox.send("publisher_publish", message);
  }

  /** Ends: subscribers get what was published, and then the end. */
  async finish(): Promise<void> {
    await this.#outbox.finish("publisher_close");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.finish();
  }
}

/** What a message takes in the ring beside its own bytes. */
const RECORD_BYTES = 16;

/** What becomes of messages that are published faster than a subscriber receives them (`enum shipmate_policy`). */
const POLICIES = { block: 1, "lose-oldest": 2 } as const;

/** `"block"`: the publisher waits for it. `"lose-oldest"`: the publisher does not wait, and it loses the oldest ones. */
export type Policy = keyof typeof POLICIES;

/** Receives what is published, from when it has connected on. */
export class Subscriber<T extends Struct> extends Receiver<T> {
  readonly #subscription: Subscription;

  /** @internal */
  constructor(subscription: Subscription, type: StructCtor<T>, options: SenderOptions) {
    const limits = { ...DEFAULT_LIMITS, ...options };
    super(new LibrarySource(subscription, limits), type, limits);
    this.#subscription = subscription;
  }

  /** Subscribes at a `shm:` address. */
  static async connect<T extends Struct>(
    address: string,
    type: StructCtor<T>,
    policy: Policy,
    options: SenderOptions = {},
  ): Promise<Subscriber<T>> {
    checkAddress(address);
    if (!Object.hasOwn(POLICIES, policy)) {
      throw new TypeError(`the policy ${JSON.stringify(policy)} is none of ${Object.keys(POLICIES).join(", ")}`);
    }
    return new Subscriber(await Subscription.to(address, POLICIES[policy], options), type, options);
  }

  /** How many messages were lost in all before the one that was received last: exact, and 0 for who blocks. */
  get lost(): number {
    return this.#subscription.lost;
  }
}

function checkAddress(address: string): void {
  if (parseAddress(address).transport !== "shm") {
    throw new AddressError(address, "shm:/path, as one to many goes over shared memory only; or use a Sender for each");
  }
}
