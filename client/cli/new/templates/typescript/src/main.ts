/** A client: `npm start -- ADDRESS`. */

import { ShipmateError, Unreachable } from "shipmate";
import { greet } from "./greet.js";

const [address, ...rest] = process.argv.slice(2);
if (address === undefined || rest.length > 0) {
  console.error("usage: npm start -- ADDRESS");
  process.exit(2);
}
try {
  console.log(await greet(address, "TypeScript"));
} catch (error) {
  if (error instanceof Unreachable) console.error(`client: start the server first: ${error.message}`);
  else if (error instanceof ShipmateError) console.error(`client: ${error.message}`);
  else throw error;
  process.exitCode = 1;
}
