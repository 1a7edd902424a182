/** Connecting, serving, and connecting again. */

import type { Server } from "node:net";
import { formatAddress, parseAddress } from "./address.js";
import { CONNECT_MILLIS } from "./limits.js";
import type { Client } from "./rpc/client.js";
import { Connection, type ConnectionOptions } from "./rpc/connection.js";
import { openServer, openStream } from "./transport.js";

export interface ConnectOptions extends ConnectionOptions {
  /** How long it may take until there is a connection; 10 seconds if not said. */
  readonly timeoutMillis?: number;
}

/**
 * Connects to a server.
 *
 * @throws {AddressError} for an address that cannot be understood.
 * @throws {Unreachable} when nobody answers there.
 */
export async function connect(address: string, options: ConnectOptions = {}): Promise<Connection> {
  const stream = await openStream(parseAddress(address), options.timeoutMillis ?? CONNECT_MILLIS);
  return new Connection(stream, options);
}

/** What to do when a connection cannot be made or is lost. */
export interface Reconnect {
  /** How many attempts in a row may fail before the last error is reported; 1 if not said. */
  readonly attempts?: number;
  /** The first pause, which then doubles up to `maxMillis`; each is shortened at random by up to half. */
  readonly firstMillis?: number;
  readonly maxMillis?: number;
}

/**
 * Gives a living connection to an address, and makes a new one when the last is lost.
 *
 * It never repeats a call: those in flight when a connection is lost fail with `Disconnected`, and only the
 * caller knows whether they may be made again.
 */
export class Connector {
  #current: Promise<Connection> | undefined;

  constructor(
    readonly address: string,
    private readonly policy: Reconnect = {},
    private readonly options: ConnectOptions = {},
  ) {}

  /** The current connection, or a new one if there is none or it is over. */
  async connection(): Promise<Connection> {
    const current = this.#current;
    if (current !== undefined) {
      const connection = await current;
      if (connection.error === undefined) return connection;
      // Somebody else may have noticed it first.
      if (this.#current !== current) return this.connection();
    }
    const attempt = this.#tryToConnect();
    this.#current = attempt;
    attempt.catch(() => {
      if (this.#current === attempt) this.#current = undefined;
    });
    return attempt;
  }

  /** Closes the current connection. */
  async close(): Promise<void> {
    const connection = await this.#current?.catch(() => undefined);
    await connection?.close();
  }

  async #tryToConnect(): Promise<Connection> {
    const { attempts = 1, firstMillis = 50, maxMillis = 5000 } = this.policy;
    for (let failed = 1; ; failed++) {
      try {
        return await connect(this.address, this.options);
      } catch (error) {
        if (failed >= attempts) throw error;
        const full = Math.min(firstMillis * 2 ** (failed - 1), maxMillis);
        await new Promise((resolve) => setTimeout(resolve, full * (1 - Math.random() / 2)));
      }
    }
  }
}

/** Something that is served at an address. It ends with `close`, or with `await using`. */
export class Listener {
  readonly #connections = new Set<Connection>();

  private constructor(
    /** Where, with the port that was chosen. */
    readonly address: string,
    private readonly server: Server,
  ) {}

  /** @internal */
  static async open(address: string, bootstrap: () => Client, options: ConnectionOptions): Promise<Listener> {
    const opened = await openServer(parseAddress(address));
    const listener = new Listener(formatAddress(opened.address), opened.server);
    opened.server.on("connection", (socket) => {
      const connection = new Connection(socket, { ...options, bootstrap: bootstrap() });
      listener.#connections.add(connection);
      void connection.closed.then(() => listener.#connections.delete(connection));
    });
    return listener;
  }

  /** The connections that are open now. */
  get connections(): readonly Connection[] {
    return [...this.#connections];
  }

  /** Accepts no more, and closes all connections. */
  async close(): Promise<void> {
    const closed = new Promise((resolve) => this.server.close(resolve));
    await Promise.all(this.connections.map((connection) => connection.close()));
    await closed;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}

/** Serves an object at a `tcp:` or `unix:` address. `bootstrap` gives the first capability of each connection. */
export function serve(address: string, bootstrap: () => Client, options: ConnectionOptions = {}): Promise<Listener> {
  return Listener.open(address, bootstrap, options);
}
