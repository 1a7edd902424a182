/** Capabilities: `node dist/samples/callback.js ADDRESS`, with `shipmated --listen ADDRESS=calculator`. */

import { connect } from "shipmate";
import { Calculator } from "./schema/calculator.js";

async function main(address = "unix:/tmp/ship.sock"): Promise<void> {
  await using connection = await connect(address);
  const calculator = connection.bootstrap(Calculator);

  // A function of ours, which the server calls back while it works on our call.
  const power = Calculator.Function.serve({
    async call({ params }) {
      console.log(`the server asks for ${params.join(" to the power of ")}`);
      return { value: params.at(0) ** params.at(1) };
    },
  });

  // 2 ^ (4 + 5), without waiting for the operator or for a result on the way: all goes out at once.
  const { func: add } = calculator.getOperator({ op: Calculator.Operator.ADD });
  const sum = { call: { function: add, params: [{ literal: 4 }, { literal: 5 }] } };
  const { value: result } = calculator.evaluate({
    expression: { call: { function: power, params: [{ literal: 2 }, sum] } },
  });
  const { value } = await result.read();
  console.log(`2 ^ (4 + 5) = ${value}`);
}

await main(process.argv[2]);
