/** Connections to the addresses that need the C library: what Node itself cannot reach. */

import { Socket } from "node:net";
import { type Address, formatAddress } from "../address.js";
import { errorOf, nativeOptions } from "./library.js";
import { threads } from "./threads.js";

/** Gives one end of a pair of sockets, whose other end the library carries to the address. */
export async function connectNative(address: Address, timeoutMillis: number): Promise<Socket> {
  const text = formatAddress(address);
  // On another thread, as connecting may wait.
  const { result, error } = await (await threads()).call([["connect", text, nativeOptions({ timeoutMillis })]]);
  if (error !== undefined) throw errorOf(error, text);
  return new Socket({ fd: result as number });
}
