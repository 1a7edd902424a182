/** Messages of several segments, and large ones. */

import type { Conformance } from "../samples/schema/conformance.js";
import { is, isSame } from "./expect.js";

/** The server's reply has many segments. (capnp-es builds one that grows, so ours has one.) */
export async function multiSegment(server: Conformance): Promise<void> {
  const sent = Array.from({ length: 20 }, (_, n) => new Uint8Array((n + 3) * 1000).fill(n + 3));
  const { parts } = await server.segments({ parts: sent });
  is("the number of parts", parts.length, sent.length);
  for (const [index, part] of sent.entries()) isSame("a part", parts.at(index).toUint8Array(), part);
}

const MIB = 1 << 20;

export async function large(server: Conformance): Promise<void> {
  const echo = async (sent: Uint8Array) => {
    isSame("what was sent", (await server.data({ value: sent })).value.toUint8Array(), sent);
  };
  const give = async (bytes: number) => {
    isSame("what was asked for", (await server.large({ bytes })).value.toUint8Array(), pattern(bytes));
  };
  await echo(pattern(MIB));
  await give(MIB);
  await give(32 * MIB);
  await echo(pattern(32 * MIB));
}

function pattern(bytes: number): Uint8Array {
  const data = new Uint8Array(bytes);
  for (let index = 0; index < bytes; index++) data[index] = index * 31 + 7;
  return data;
}
