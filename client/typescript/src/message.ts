/**
 * Messages: typed, one way, one after the other, with back-pressure. The bytes are Cap'n Proto's standard stream
 * framing, which every implementation and `capnp decode` understand.
 */

import type { Server, Socket } from "node:net";
import { formatAddress, parseAddress } from "./address.js";
import { Disconnected, ShipmateError } from "./errors.js";
import { type Fill, fill } from "./fill.js";
import { CONNECT_MILLIS, DEFAULT_LIMITS, type Limits } from "./limits.js";
import { MessageBuilder, MessageReader, type Struct, type StructCtor } from "./serial.js";
import { openServer, openStream } from "./transport.js";
import { FrameSocket } from "./wire.js";

/** Sends messages of one type to one receiver. */
export class Sender<T extends Struct> {
  readonly #frames: FrameSocket;

  private constructor(
    socket: Socket,
    private readonly type: StructCtor<T>,
    limits: Limits,
  ) {
    this.#frames = new FrameSocket(socket, limits, {
      frame: () => {
        throw new Error("a receiver of messages sends none");
      },
      end: () => {},
    });
  }

  /** Connects to a receiver, which must be listening. */
  static async connect<T extends Struct>(
    address: string,
    type: StructCtor<T>,
    limits: Partial<Limits> = {},
  ): Promise<Sender<T>> {
    const place = parseAddress(address);
    if (place.transport === "pipe") {
      throw new ShipmateError("messages through a named pipe itself are not sent by this package: use another address");
    }
    const socket = await openStream(place, CONNECT_MILLIS);
    return new Sender(socket, type, { ...DEFAULT_LIMITS, ...limits });
  }

  /**
   * Sends a message. Resolves when there is room for the next: a slow receiver makes its sender wait.
   *
   * @throws {Disconnected} when the receiver is gone.
   */
  async send(values: Fill<T>): Promise<void> {
    const message = new MessageBuilder();
    fill(message.initRoot(this.type), values);
    this.#frames.send(message);
    await this.#frames.drained();
    if (this.#frames.over !== undefined) throw this.#frames.over;
  }

  /** Ends the stream, after all that was sent. */
  async finish(): Promise<void> {
    await this.#frames.close(new Disconnected("this program ended the stream"));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.finish();
  }
}

/** Waits for senders at an address. */
export class MessageListener {
  readonly #waiting: Socket[] = [];
  #wake: (() => void) | undefined;

  private constructor(
    /** Where, with the port that was chosen. */
    readonly address: string,
    private readonly server: Server,
  ) {
    server.on("connection", (socket) => {
      socket.pause();
      this.#waiting.push(socket);
      this.#wake?.();
    });
  }

  /** Listens at a `tcp:` or `unix:` address. */
  static async bind(address: string): Promise<MessageListener> {
    const opened = await openServer(parseAddress(address));
    return new MessageListener(formatAddress(opened.address), opened.server);
  }

  /** The next sender's messages. */
  async accept<T extends Struct>(type: StructCtor<T>, limits: Partial<Limits> = {}): Promise<Receiver<T>> {
    for (;;) {
      const socket = this.#waiting.shift();
      if (socket !== undefined) return new Receiver(socket, type, { ...DEFAULT_LIMITS, ...limits });
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  /** Accepts no more. What was accepted goes on. */
  close(): void {
    for (const socket of this.#waiting) socket.destroy();
    this.server.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

/** Receives messages of one type from one sender: `for await (const message of receiver)`. */
export class Receiver<T extends Struct> implements AsyncIterable<T> {
  readonly #frames: FrameSocket;
  readonly #ready: ArrayBuffer[][] = [];
  #end: Disconnected | undefined;
  #wake: (() => void) | undefined;

  /** @internal */
  constructor(
    socket: Socket,
    private readonly type: StructCtor<T>,
    private readonly limits: Limits,
  ) {
    this.#frames = new FrameSocket(socket, limits, {
      frame: (segments) => {
        this.#ready.push(segments);
        // The sender waits until this one is taken.
        this.#frames.pause();
        this.#wake?.();
      },
      end: (reason) => {
        this.#end = reason;
        this.#wake?.();
      },
    });
  }

  /**
   * The next message, or `undefined` when the sender has ended the stream.
   *
   * @throws {Disconnected} when the stream ended in the middle of a message or is none.
   */
  async receive(): Promise<T | undefined> {
    for (;;) {
      const segments = this.#ready.shift();
      if (segments !== undefined) return new MessageReader(segments, this.limits).getRoot(this.type);
      if (this.#end !== undefined) {
        if (this.#frames.endedCleanly) return undefined;
        throw this.#end;
      }
      const woken = new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
      this.#frames.resume();
      await woken;
    }
  }

  /** Receives no more. */
  async close(): Promise<void> {
    await this.#frames.close(new Disconnected("this program closed it"));
  }

  async *[Symbol.asyncIterator](): AsyncIterator<T> {
    try {
      for (let message = await this.receive(); message !== undefined; message = await this.receive()) yield message;
    } finally {
      await this.close();
    }
  }
}
