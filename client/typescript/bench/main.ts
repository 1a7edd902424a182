/**
 * Measures calls of `Arith.multiply` and prints a line of JSON: `node dist/bench/main.js shipmate ADDRESS CALLS`.
 * `cargo xtask clients-bench` runs it.
 */

import { connect } from "shipmate";
import { Arith } from "../samples/schema/arith.js";

/** So many calls are in flight at once where calls per second are counted. */
const IN_FLIGHT = 32;

async function main(which: string, address: string, calls: number): Promise<void> {
  await using connection = await connect(address);
  const arith = connection.bootstrap(Arith);
  const call = async () => {
    const { product } = await arith.multiply({ a: 6n, b: 7n });
    if (product.value !== 42n) throw new Error("6 * 7 is not 42");
  };

  for (let count = 0; count < calls / 10; count++) await call();
  const micros = new Float64Array(calls);
  for (let count = 0; count < calls; count++) {
    const before = performance.now();
    await call();
    micros[count] = 1e3 * (performance.now() - before);
  }
  micros.sort();

  const batches = Math.floor(calls / IN_FLIGHT);
  const before = performance.now();
  for (let batch = 0; batch < batches; batch++) await Promise.all(Array.from({ length: IN_FLIGHT }, call));
  const seconds = (performance.now() - before) / 1e3;
  console.log(
    JSON.stringify({ which, p50_us: micros[Math.floor(calls / 2)], calls_per_s: (batches * IN_FLIGHT) / seconds }),
  );
}

const [which, address, calls] = process.argv.slice(2);
if (which !== "shipmate" || address === undefined) throw new Error("write: main.js shipmate ADDRESS CALLS");
await main(which, address, Number(calls));
