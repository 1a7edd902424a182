/** Connected streams for each kind of address. */

import { once } from "node:events";
import {
  createConnection,
  createServer,
  type ListenOptions,
  type NetConnectOpts,
  type Server,
  type Socket,
} from "node:net";
import { type Address, formatAddress } from "./address.js";
import { asError, ShipmateError, Unreachable } from "./errors.js";
import { connectNative } from "./native/connect.js";

/** Connects. */
export async function openStream(address: Address, timeoutMillis: number): Promise<Socket> {
  if (!isNodes(address)) return connectNative(address, timeoutMillis);
  const socket = createConnection(place(address) as NetConnectOpts);
  try {
    await once(socket, "connect", { signal: AbortSignal.timeout(timeoutMillis) });
  } catch (error) {
    socket.destroy();
    throw new Unreachable(formatAddress(address), whyNot(address, asError(error)), { cause: error });
  }
  socket.setNoDelay(true);
  socket.setKeepAlive(true, KEEPALIVE_MILLIS);
  return socket;
}

/** Listens; gives the server and its address with the port that was chosen. */
export async function openServer(address: Address): Promise<{ server: Server; address: Address }> {
  if (!isNodes(address)) {
    throw new ShipmateError(`this package serves at tcp: and unix:/path only, and not at ${formatAddress(address)}`);
  }
  const server = createServer({ noDelay: true, keepAlive: true, keepAliveInitialDelay: KEEPALIVE_MILLIS });
  server.listen(place(address));
  await once(server, "listening");
  const bound = server.address();
  const isTcp = address.transport === "tcp" && typeof bound === "object" && bound !== null;
  return { server, address: isTcp ? { ...address, port: bound.port } : address };
}

const KEEPALIVE_MILLIS = 30_000;

/** Whether an address is Node's own. It is none for `unix:@name`: Node fills such names up with zeros, so that it finds only its own. */
export function isNodes(address: Address): address is Address & { transport: "tcp" | "unix" } {
  return address.transport === "tcp" || (address.transport === "unix" && !address.path.startsWith("@"));
}

function place(address: Address & { transport: "tcp" | "unix" }): ListenOptions {
  return address.transport === "tcp" ? { host: address.host, port: address.port } : { path: address.path };
}

function whyNot(address: Address, error: Error & { code?: string }): string {
  switch (error.code) {
    case "ABORT_ERR":
      return "it took too long";
    case "ECONNREFUSED":
      return `no server listens there; start one, such as \`shipmated --listen ${formatAddress(address)}\``;
    case "ENOENT":
      return "there is no such socket; is the server running?";
    default:
      return error.message;
  }
}
