/** What messages are sent to and received from: a socket, or the C library. */

import type { Limits } from "../limits.js";
import type { Tier } from "../native/library.js";
import type { MessageBuilder } from "../serial.js";
import type { WaitOptions } from "../wait.js";

/** The bounds of a stream of messages, and what shared memory is used for. */
export interface MessageOptions extends Partial<Limits> {
  /** Over shared memory, how large parts of messages are handed over: `"copy"`, if not said. */
  readonly tier?: Tier;
  /** Over shared memory, how long to look for what comes before sleeping: not at all, if not said. */
  readonly spinMicros?: number;
}

export interface SenderOptions extends MessageOptions {
  /** How long connecting may take; 10 seconds if not said. */
  readonly timeoutMillis?: number;
}

/** Where messages go to. */
export interface Sink {
  /** Resolves when there is room for the next. */
  send(message: MessageBuilder): Promise<void>;
  /** Memory for a message: so many bytes, which are whole words and not none. */
  lend(bytes: number): Promise<LentMemory>;
  finish(): Promise<void>;
}

/** Memory of zeros, to build a message in. It ends with one of the two functions. */
export interface LentMemory {
  readonly memory: ArrayBuffer;
  /** Sends what was built there. */
  publish(message: MessageBuilder): Promise<void>;
  cancel(): void;
}

/** A message that came. It ends with one of the two functions. */
export interface Lease {
  readonly segments: readonly ArrayBuffer[];
  /** The segments, in memory of this program. */
  own(): ArrayBuffer[];
  release(): void;
}

/** Where messages come from. */
export interface Source {
  next(options: WaitOptions): Promise<Lease | undefined>;
  close(): Promise<void>;
}

/** Where senders come from. */
export interface Acceptor {
  readonly address: string;
  accept(limits: Limits, options: WaitOptions): Promise<Source>;
  close(): void;
}

export const LISTENER_CLOSED = "this program closed the listener";
export const RECEIVER_CLOSED = "this program closed the receiver";
