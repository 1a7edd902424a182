/** Streams (`-> stream`), whose sender is held back by what the receiver has handled. */

import { setTimeout as sleep } from "node:timers/promises";
import { type Conformance, Sink, type Sink$Server } from "../samples/schema/conformance.js";
import { is, isSame, Mismatch } from "./expect.js";

const CHUNKS = 200;
const CHUNK_BYTES = 10_000;
const PEAK_BYTES_MAX = 1n << 20n;

export async function up(server: Conformance): Promise<void> {
  const { sink } = await server.openSink();
  let expected = 0;
  for (let number = 0; number < CHUNKS; number++) {
    const sent = chunk(number);
    expected += sumOf(sent);
    // Resolves when there is room for the next.
    await sink.write({ chunk: sent });
  }
  const { chunks, bytes, sum } = await sink.done();
  is("the chunks", chunks, CHUNKS);
  is("the bytes", bytes, BigInt(CHUNKS * CHUNK_BYTES));
  is("their sum", sum, expected);
}

export async function down(server: Conformance): Promise<void> {
  const seen: Uint8Array[] = [];
  /** Takes its time over each chunk. */
  const sink: Sink$Server = {
    async write({ chunk }) {
      await sleep(1);
      seen.push(chunk.toUint8Array());
    },
    done() {
      const bytes = seen.reduce((bytes, chunk) => bytes + chunk.length, 0);
      const sum = seen.reduce((sum, chunk) => sum + sumOf(chunk), 0);
      return { chunks: seen.length, bytes: BigInt(bytes), sum: sum % 2 ** 32 };
    },
  };
  const { peak } = await server.pour({ sink: Sink.serve(sink), chunks: CHUNKS, bytes: CHUNK_BYTES });
  is("the number of chunks", seen.length, CHUNKS);
  for (const [number, bytes] of seen.entries()) isSame(`chunk ${number}`, bytes, chunk(number));
  if (peak === 0n || peak > PEAK_BYTES_MAX) {
    throw new Mismatch(`the bytes under way: expected at most ${PEAK_BYTES_MAX} and saw ${peak}`);
  }
}

function chunk(number: number): Uint8Array {
  return Uint8Array.from({ length: CHUNK_BYTES }, (_, index) => number + index);
}

function sumOf(bytes: Uint8Array): number {
  return bytes.reduce((sum, byte) => sum + byte, 0);
}
