/** Messages over Node's sockets, in Cap'n Proto's standard stream framing. */

import type { Server, Socket } from "node:net";
import { type Address, formatAddress } from "../address.js";
import { Disconnected } from "../errors.js";
import type { Limits } from "../limits.js";
import type { MessageBuilder } from "../serial.js";
import { openServer } from "../transport.js";
import { Inbox, type WaitOptions } from "../wait.js";
import { FrameSocket } from "../wire.js";
import {
  type Acceptor,
  type Lease,
  type LentMemory,
  LISTENER_CLOSED,
  RECEIVER_CLOSED,
  type Sink,
  type Source,
} from "./parts.js";

export class SocketSink implements Sink {
  readonly #frames: FrameSocket;

  constructor(socket: Socket, limits: Limits) {
    this.#frames = new FrameSocket(socket, limits, {
      frame: () => {
        throw new Error("a receiver of messages sends none");
      },
      end: () => {},
    });
  }

  async send(message: MessageBuilder): Promise<void> {
    this.#frames.send(message);
    await this.#frames.drained();
    if (this.#frames.over !== undefined) throw this.#frames.over;
  }

  async lend(bytes: number): Promise<LentMemory> {
    return { memory: new ArrayBuffer(bytes), publish: (message) => this.send(message), cancel: () => {} };
  }

  async finish(): Promise<void> {
    await this.#frames.close(new Disconnected("this program ended the stream"));
  }
}

export class SocketAcceptor implements Acceptor {
  readonly #sockets = new Inbox<Socket>("sender");

  private constructor(
    readonly address: string,
    private readonly server: Server,
  ) {
    server.on("connection", (socket) => {
      socket.pause();
      this.#sockets.put(socket);
    });
  }

  static async bind(address: Address): Promise<SocketAcceptor> {
    const opened = await openServer(address);
    return new SocketAcceptor(formatAddress(opened.address), opened.server);
  }

  async accept(limits: Limits, options: WaitOptions): Promise<Source> {
    return new SocketSource((await this.#sockets.take(options)) as Socket, limits);
  }

  close(): void {
    this.#sockets.end(new Disconnected(LISTENER_CLOSED));
    for (const socket of this.#sockets.empty()) socket.destroy();
    this.server.close();
  }
}

class SocketSource implements Source {
  readonly #frames: FrameSocket;
  readonly #messages: Inbox<ArrayBuffer[]>;

  constructor(socket: Socket, limits: Limits) {
    this.#frames = new FrameSocket(socket, limits, {
      frame: (segments) => {
        // The sender waits until this one is taken.
        this.#frames.pause();
        this.#messages.put(segments);
      },
      end: (reason) => this.#messages.end(this.#frames.endedCleanly ? undefined : reason),
    });
    this.#messages = new Inbox("message", () => this.#frames.resume());
  }

  async next(options: WaitOptions): Promise<Lease | undefined> {
    const segments = await this.#messages.take(options);
    return segments && { segments, own: () => segments, release: () => {} };
  }

  async close(): Promise<void> {
    const reason = new Disconnected(RECEIVER_CLOSED);
    this.#messages.end(reason);
    await this.#frames.close(reason);
  }
}
