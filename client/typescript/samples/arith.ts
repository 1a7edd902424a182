/** Calls: `node dist/samples/arith.js ADDRESS`, with `shipmated --listen ADDRESS=arith`. */

import { connect, Deadline, Disconnected, Unreachable } from "shipmate";
import { Arith, ArithError } from "./schema/arith.js";

async function main(address = "unix:/tmp/ship.sock"): Promise<void> {
  await using connection = await connect(address);
  const arith = connection.bootstrap(Arith);

  const { product } = await arith.multiply({ a: 6n, b: 7n });
  console.log(`6 * 7 = ${product.value}`);

  // Two calls at once, with a deadline.
  const options = { deadlineMillis: 1000 };
  const [fine, wrong] = await Promise.all([
    arith.divide({ a: 22n, b: 7n }, options),
    arith.divide({ a: 1n, b: 0n }, options),
  ]);
  const { quotient, remainder } = fine.division.value;
  console.log(`22 / 7 = ${quotient}, remainder ${remainder}`);
  // What is wrong with the numbers is a value, and no exception.
  if (wrong.division._isError && wrong.division.error === ArithError.DIVIDE_BY_ZERO)
    console.log("1 / 0 cannot be done");
}

try {
  await main(process.argv[2]);
} catch (error) {
  if (error instanceof Unreachable) console.error(`start a server first: ${error.message}`);
  else if (error instanceof Disconnected || error instanceof Deadline)
    console.error(`try again later: ${error.message}`);
  else throw error;
  process.exitCode = 1;
}
