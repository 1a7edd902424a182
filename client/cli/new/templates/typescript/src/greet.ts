import { connect } from "shipmate";
import { Greeter } from "./generated/typescript/greeter.js";

/** Asks the server at the address for a greeting. */
export async function greet(address: string, name: string): Promise<string> {
  await using connection = await connect(address);
  const greeter = connection.bootstrap(Greeter);
  const { greeting } = await greeter.greet({ name }, { deadlineMillis: 5000 });
  return greeting;
}
