/** Calls that are given up, that fail, and that are many. */

import { setTimeout as sleep } from "node:timers/promises";
import { Deadline, type Disconnected, ServiceError, ShipmateError } from "shipmate";
import { type Conformance, ErrorKind } from "../samples/schema/conformance.js";
import { failsWith, is, Mismatch } from "./expect.js";

/** A call that is cancelled ends at the server too, and no other does. */
export async function cancel(server: Conformance): Promise<void> {
  const { waiting, cancelled } = await server.hanging();
  const [one, other] = [new AbortController(), new AbortController()];
  const calls = [one, other].map(({ signal }) => server.hang({}, { signal }));
  await untilHanging(server, waiting + 2, cancelled);
  one.abort();
  await untilHanging(server, waiting + 1, cancelled + 1);
  other.abort();
  await untilHanging(server, waiting, cancelled + 2);
  for (const call of calls) await failsWith("a cancelled call", call, DOMException);
}

/** Asks until the counts are as expected; the time allowed for a step ends it. */
export async function untilHanging(server: Conformance, waiting: number, cancelled: number): Promise<void> {
  for (;;) {
    const seen = await server.hanging();
    if (seen.waiting === waiting && seen.cancelled === cancelled) return;
    if (seen.cancelled > cancelled) {
      // Those will not come back.
      is("waiting and cancelled", [seen.waiting, seen.cancelled], [waiting, cancelled]);
    }
    await sleep(2);
  }
}

/** Errors of the application are values. */
export async function typedError(server: Conformance): Promise<void> {
  for (const code of [0, 1, 65_535]) {
    const { outcome } = await server.refuse({ code });
    is("the code of the refusal", outcome._isError ? outcome.error.code : 0, code);
    is("whether there is a value", outcome._isValue, code === 0);
  }
}

/** Exceptions keep their kind, and their reason word for word. */
export async function errorKinds(server: Conformance): Promise<void> {
  for (const kind of ["failed", "overloaded", "unimplemented", "disconnected"] as const) {
    const reason = `the reason for ${kind}`;
    const constant = ErrorKind[kind.toUpperCase() as Uppercase<typeof kind>];
    const error = await failsWith(kind, server.fail({ kind: constant, reason }), ShipmateError);
    const seen = error instanceof ServiceError ? error : { kind: "disconnected", ...(error as Disconnected) };
    is("the kind", seen.kind, kind);
    is("the reason", seen.reason, reason);
    await goesOn(server);
  }
}

export async function deadline(server: Conformance): Promise<void> {
  is("the time it waited", (await server.delay({ millis: 20 }, { deadlineMillis: 30_000 })).millis, 20);
  await failsWith("a call that takes too long", server.delay({ millis: 60_000 }, { deadlineMillis: 50 }), Deadline);
  await goesOn(server);
}

/** A call that has failed costs nothing but itself. */
async function goesOn(server: Conformance): Promise<void> {
  is("the next call", (await server.text({ value: "still there" })).value, "still there");
}

export async function many(server: Conformance): Promise<void> {
  const calls = Array.from({ length: 1000 }, async (_, number) => {
    const { value } = await server.text({ value: `call ${number}` });
    if (value !== `call ${number}`) throw new Mismatch(`the answer: expected "call ${number}" and saw "${value}"`);
  });
  await Promise.all(calls);
}
