/** Where a peer is and how bytes get there. */

import { AddressError } from "./errors.js";

/**
 * An address, which is written `transport:place`:
 *
 * | form | transport |
 * |---|---|
 * | `tcp:HOST:PORT`, `tcp:[::1]:PORT` | TCP; port 0 asks a listener for any free port |
 * | `unix:/path`, `unix:@name` | a Unix socket; with `@` in Linux's abstract namespace |
 * | `pipe:/path`, `shm:/path`, `auto:/path` | named pipes, shared memory, or what is best: with `libshipmate` |
 */
export type Address =
  | { readonly transport: "tcp"; readonly host: string; readonly port: number }
  | { readonly transport: "unix"; readonly path: string }
  | { readonly transport: "pipe" | "shm" | "auto"; readonly path: string };

const ANY_FORM = "tcp:HOST:PORT, unix:/path, unix:@name, pipe:/path, shm:/path or auto:/path";

/** @throws {AddressError} that shows the right form. */
export function parseAddress(text: string): Address {
  const [, transport, place] = /^([^:]*):(.*)$/s.exec(text) ?? [];
  if (transport === undefined || place === undefined) throw new AddressError(text, ANY_FORM);
  switch (transport) {
    case "tcp":
      return parseTcp(text, place);
    case "unix":
    case "pipe":
    case "shm":
    case "auto":
      if (place === "" || place === "@" || place.includes("\0")) {
        throw new AddressError(text, `${transport}:/path, with a path that has no NUL byte`);
      }
      return { transport, path: place };
    default:
      throw new AddressError(text, ANY_FORM);
  }
}

function parseTcp(text: string, place: string): Address {
  const [, bracketed, plain, digits] = /^(?:\[([^\]]+)\]|([^:[\]]+)):(\d{1,5})$/.exec(place) ?? [];
  const host = bracketed ?? plain;
  const port = Number(digits);
  if (host === undefined || host.includes("\0") || !(port <= 65535)) {
    throw new AddressError(text, "tcp:HOST:PORT, such as tcp:127.0.0.1:7700 or tcp:[::1]:7700");
  }
  return { transport: "tcp", host, port };
}

/** The inverse of {@link parseAddress}. */
export function formatAddress(address: Address): string {
  if (address.transport !== "tcp") return `${address.transport}:${address.path}`;
  const host = address.host.includes(":") ? `[${address.host}]` : address.host;
  return `tcp:${host}:${address.port}`;
}
