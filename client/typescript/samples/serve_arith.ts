/** An object that others call: `node dist/samples/serve_arith.js ADDRESS`, then `shipmate arith … --at ADDRESS`. */

import { serve } from "shipmate";
import { Arith, type Arith$Server, ArithError } from "./schema/arith.js";

const LEAST = -(2n ** 63n);

const arith: Arith$Server = {
  multiply({ a, b }) {
    const value = a * b;
    const fits = BigInt.asIntN(64, value) === value;
    return { product: fits ? { value } : { error: ArithError.OVERFLOW } };
  },

  divide({ a, b }) {
    if (b === 0n) return { division: { error: ArithError.DIVIDE_BY_ZERO } };
    if (a === LEAST && b === -1n) return { division: { error: ArithError.OVERFLOW } };
    return { division: { value: { quotient: a / b, remainder: a % b } } };
  },
};

const listener = await serve(process.argv[2] ?? "tcp:127.0.0.1:0", () => Arith.serve(arith));
console.log(`listening at ${listener.address}`);
process.once("SIGTERM", () => void listener.close());
process.once("SIGINT", () => void listener.close());
